// A file in llama.cpp's format, GGUF: metadata, then arrays, little endian.
//
//   "GGUF", version | counts | key, type, value ... | name, shape, format, offset ... | arrays
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "files/files.h"
#include "weights/gguf/block_formats.h"

namespace evo::weights {

/// The numbers are the format's.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

inline constexpr uint32_t kGgufMagic = 0x46554747;  ///< "GGUF"
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr int64_t kGgufAlignment = 32;  ///< of arrays, unless the file says another

/// Elements of tokenizer.ggml.token_type; the numbers are SentencePiece's.
struct GgufToken {
  static constexpr int32_t kUndefined = 0, kNormal = 1, kUnknown = 2, kControl = 3,
                           kUserDefined = 4, kUnused = 5, kByte = 6;
};

/// One array as it lies in the file.
struct GgufArray {
  std::string name;
  std::vector<int64_t> shape;  ///< the last extent is that of neighbours, as everywhere in evo
  const BlockFormat* format = nullptr;
  std::span<const std::byte> bytes;  ///< lives as long as the file object
};

/// A mapped file. The constructor checks all of it: whatever the file holds, the result is either
/// valid metadata and a valid list of arrays or an Error that names file, place and numbers.
class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }
  [[nodiscard]] std::string name() const { return file_.path().string(); }
  [[nodiscard]] const std::vector<GgufArray>& arrays() const { return arrays_; }
  /// See MappedFile.
  void forget(std::span<const std::byte> part) const { file_.forget(part); }

  [[nodiscard]] bool has(std::string_view key) const { return values_.contains(key); }
  [[nodiscard]] bool is_array(std::string_view key) const;
  /// How many elements an array has; nothing if there is none of this key.
  [[nodiscard]] std::optional<uint64_t> count(std::string_view key) const;

  /// Nothing if the key is missing; throws Error naming it if its value is of another type. Texts
  /// live as long as the file object.
  [[nodiscard]] std::optional<std::string_view> text(std::string_view key) const;
  [[nodiscard]] std::optional<int64_t> integer(std::string_view key) const;
  [[nodiscard]] std::optional<double> real(std::string_view key) const;
  [[nodiscard]] std::optional<bool> flag(std::string_view key) const;
  /// Of arrays, empty if the key is missing.
  [[nodiscard]] std::vector<std::string_view> texts(std::string_view key) const;
  [[nodiscard]] std::vector<int64_t> integers(std::string_view key) const;
  [[nodiscard]] std::vector<double> reals(std::string_view key) const;

 private:
  struct Value {
    GgufType type;  // of the elements, if it is an array
    bool is_array = false;
    uint64_t count = 1;
    std::span<const std::byte> bytes = {};
  };
  class Reader;

  [[nodiscard]] Value read_value(Reader& reader, std::string_view key) const;
  void read_metadata(Reader& reader, uint64_t count);
  void read_arrays(Reader& reader, uint64_t count);
  [[nodiscard]] int64_t read_alignment() const;
  void place_arrays(std::span<const uint64_t> offsets, int64_t data_begin);
  [[nodiscard]] const Value* find(std::string_view key, bool is_array) const;
  [[noreturn]] void refuse(std::string_view key, const Value& value,
                           std::string_view expected) const;
  [[nodiscard]] int64_t integer_at(std::string_view key, const Value& value, uint64_t i) const;
  [[nodiscard]] double real_at(std::string_view key, const Value& value, uint64_t i) const;

  files::MappedFile file_;
  std::unordered_map<std::string_view, Value> values_;  // the keys are the file's
  std::vector<GgufArray> arrays_;
};

/// Whether a regular file begins as a GGUF file does, whatever it is called.
[[nodiscard]] bool is_gguf(const std::filesystem::path& path);

}  // namespace evo::weights
