// Writing files in llama.cpp's format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/files.h"
#include "weights/gguf/gguf_file.h"

namespace evo::weights {

class GgufWriter {
 public:
  /// Metadata, in the order of the calls; a key is given once. Texts and numbers as most readers
  /// expect them: uint32, float32, int32 and float32 in arrays.
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const char* value) { set(key, std::string_view(value)); }
  void set(std::string_view key, int64_t value);
  void set(std::string_view key, double value);
  void set(std::string_view key, bool value);
  void set(std::string_view key, std::span<const std::string> values);
  void set(std::string_view key, std::span<const int32_t> values);
  void set(std::string_view key, std::span<const float> values);

  /// An array whose bytes `write` writes when its turn comes. Throws Error if its rows are not
  /// whole blocks of the format.
  void add(std::string name, std::vector<int64_t> shape, const BlockFormat& format,
           std::function<void(files::AtomicFile&)> write);
  /// The same of what `make` fills in.
  void add_values(std::string name, std::vector<int64_t> shape, const BlockFormat& format,
                  std::function<void(std::span<float>)> make);

  /// Atomically; equal inputs give equal bytes.
  void write(const std::filesystem::path& path) const;

 private:
  struct Array {
    std::string name;
    std::vector<int64_t> shape;
    const BlockFormat* format;
    int64_t bytes;
    std::function<void(files::AtomicFile&)> write;
  };
  void begin(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType type, size_t size);
  [[nodiscard]] std::string head() const;

  std::string metadata_;
  uint64_t keys_ = 0;
  std::vector<Array> arrays_;
};

}  // namespace evo::weights
