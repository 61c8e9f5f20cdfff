// What a file says of an array, whatever its format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evo::weights {

struct TensorInfo {
  std::string name;
  std::string dtype;  ///< "F32", "BF16", ... as in the file
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  ///< little endian, row-major; lives as long as the file object
};

/// "[2, 3]"
[[nodiscard]] std::string shape_text(const std::vector<int64_t>& shape);

/// Of an array of that shape. Throws Error, which begins with `where`, if an extent is negative or
/// the product does not fit into 64 bits.
[[nodiscard]] int64_t element_count(const std::vector<int64_t>& shape, std::string_view where);

/// `found`, or an Error that says what is wrong with the name (nullptr) or the shape.
[[nodiscard]] const TensorInfo& checked_tensor(const TensorInfo* found,
                                               const std::filesystem::path& path,
                                               std::string_view name,
                                               const std::vector<int64_t>& expected_shape);

}  // namespace evo::weights
