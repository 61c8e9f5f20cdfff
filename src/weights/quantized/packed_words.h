// Small whole numbers that share the words of I32 arrays.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weights/array_source.h"

namespace evo::weights {

constexpr int64_t kWordBits = 32;

/// Array `name`. Throws Error if it is missing, of another shape or not I32.
[[nodiscard]] const TensorInfo& checked_words(const ArraySource& source, const std::string& name,
                                              const std::vector<int64_t>& shape);

/// Word `i` of an I32 array, wherever it lies in memory.
[[nodiscard]] uint32_t word_at(const TensorInfo& words, int64_t i);

/// The groups of inputs that an I32 array [in] says. Throws Error if one is none of 0 to `count`
/// - 1.
[[nodiscard]] std::vector<int64_t> groups_in(const ArraySource& source, const TensorInfo& order,
                                             int64_t count);

}  // namespace evo::weights
