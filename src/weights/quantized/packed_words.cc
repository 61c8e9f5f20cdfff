#include "weights/quantized/packed_words.h"

#include <cstring>

#include "base/error.h"

namespace evo::weights {

const TensorInfo& checked_words(const ArraySource& source, const std::string& name,
                                const std::vector<int64_t>& shape) {
  const TensorInfo& found = checked_tensor(source.find(name), source.path(), name, shape);
  if (found.dtype == "I32") return found;
  fail("{}: {} is {}, expected I32", source.path().string(), name, found.dtype);
}

uint32_t word_at(const TensorInfo& words, int64_t i) {
  uint32_t word;
  std::memcpy(&word, words.bytes.data() + static_cast<size_t>(i) * sizeof word, sizeof word);
  return word;
}

std::vector<int64_t> groups_in(const ArraySource& source, const TensorInfo& order, int64_t count) {
  std::vector<int64_t> groups(static_cast<size_t>(order.shape.at(0)));
  for (int64_t i = 0; i < std::ssize(groups); ++i) {
    groups[i] = static_cast<int32_t>(word_at(order, i));
    if (groups[i] >= 0 && groups[i] < count) continue;
    fail("{}: {} puts input {} into group {}, but there are {}", source.path().string(), order.name,
         i, groups[i], count);
  }
  return groups;
}

}  // namespace evo::weights
