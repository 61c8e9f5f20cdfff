// GGUF files made byte by byte, right or wrong.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/testing.h"
#include "weights/gguf/gguf_file.h"

namespace evo::testing {

class GgufBytes {
 public:
  template <class Value>
  GgufBytes& put(Value value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBytes& text(std::string_view text) {
    put<uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  GgufBytes& head(uint32_t version, uint64_t arrays, uint64_t keys) {
    return put(kGgufMagic).put(version).put(arrays).put(keys);
  }
  /// The value follows.
  GgufBytes& key(std::string_view name, uint32_t type) { return text(name).put(type); }
  /// `extents`: as in the file, that of neighbours first.
  GgufBytes& array(std::string_view name, const std::vector<int64_t>& extents, uint32_t format,
                   uint64_t offset) {
    text(name).put(static_cast<uint32_t>(extents.size()));
    for (const int64_t extent : extents) put(extent);
    return put(format).put(offset);
  }
  /// So many bytes behind the next multiple of `alignment`.
  void data(size_t count, size_t alignment = kGgufAlignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    for (size_t i = 0; i < count; ++i) bytes_ += static_cast<char>(i % 61);
  }
  [[nodiscard]] const std::string& text() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace evo::testing
