// Checkpoints of llama2.c in their first format: 7 whole numbers, then the weights in f32.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/files.h"
#include "weights/array_source.h"

namespace evo::weights {

/// Its arrays, under the names and in the order of rows that Hugging Face's folders have.
class Llama2cFile : public ArraySource {
 public:
  struct Header {
    int64_t hidden, feed_forward, layers, heads, kv_heads, vocabulary, context;
    bool tied;  ///< the head is the embedding
    [[nodiscard]] int64_t head_size() const { return hidden / heads; }
  };

  /// Throws Error if the file has not the size that its header makes.
  explicit Llama2cFile(const std::filesystem::path& path);

  [[nodiscard]] const Header& header() const { return header_; }
  [[nodiscard]] const std::filesystem::path& path() const override { return file_.path(); }
  [[nodiscard]] const TensorInfo* find(std::string_view name) const override;
  void for_each(const std::function<void(const TensorInfo&)>& visit) const override;
  void read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                std::span<float> out) const override;
  /// Throws Error: none of its arrays is BF16.
  void read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                 std::span<uint16_t> out) const override;

 private:
  struct Entry {
    TensorInfo info;
    std::span<const std::byte> bytes;
    bool in_pairs;  // its rotary pairs lie side by side
  };
  void place_arrays();
  void require_size(int64_t end) const;
  [[nodiscard]] const Entry* entry(std::string_view name) const;

  files::MappedFile file_;
  Header header_;
  std::vector<Entry> entries_;  // in the order of the file
};

}  // namespace evo::weights
