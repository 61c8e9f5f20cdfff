#include "weights/tensor_info.h"

#include <fmt/ranges.h>

#include "base/checked.h"
#include "base/error.h"

namespace evo::weights {

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("{}", shape);
}

int64_t element_count(const std::vector<int64_t>& shape, std::string_view where) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0) fail("{}: negative size in shape {}", where, shape_text(shape));
    count = checked_mul(count, size, where);
  }
  return count;
}

const TensorInfo& checked_tensor(const TensorInfo* found, const std::filesystem::path& path,
                                 std::string_view name,
                                 const std::vector<int64_t>& expected_shape) {
  if (found == nullptr) {
    fail("{}: there is no array {}; expected one of shape {}", path.string(), name,
         shape_text(expected_shape));
  }
  if (found->shape != expected_shape) {
    fail("{}: {} has shape {}, expected {}", path.string(), name, shape_text(found->shape),
         shape_text(expected_shape));
  }
  return *found;
}

}  // namespace evo::weights
