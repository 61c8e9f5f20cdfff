// Rows of queries and keys whose rotary pairs lie side by side (2i, 2i + 1), as llama.cpp has them
// for Llama, or half a head apart (i, i + e/2), as everybody else has them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace evo::weights {

/// Where a row that has its place half a head from its partner lies side by side with it. `pairs`:
/// of a head.
[[nodiscard]] inline int64_t neighbouring_row(int64_t row, int64_t pairs) {
  const int64_t head = row / (2 * pairs) * (2 * pairs), i = row - head;
  return head + (i < pairs ? 2 * i : 2 * (i - pairs) + 1);
}

/// Moves `rows` rows of equal length there.
inline void put_pairs_together(std::span<float> values, int64_t rows, int64_t pairs) {
  const std::vector<float> before(values.begin(), values.end());
  const int64_t cols = std::ssize(values) / rows;
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(before.begin() + r * cols, cols,
                values.begin() + neighbouring_row(r, pairs) * cols);
  }
}

/// Moves them back.
inline void put_pairs_apart(std::span<float> values, int64_t rows, int64_t pairs) {
  const std::vector<float> before(values.begin(), values.end());
  const int64_t cols = std::ssize(values) / rows;
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(before.begin() + neighbouring_row(r, pairs) * cols, cols,
                values.begin() + r * cols);
  }
}

}  // namespace evo::weights
