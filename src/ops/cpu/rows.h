// What the row-wise ops share: rows in parallel, sums over rows whose bits do not depend on the
// number of threads, and where gradients go.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/threads/parallel.h"
#include "tensor/tensor.h"

namespace evo::ops {

/// sum[i] += values[i] for i < n.
void add_to(float* sum, const float* values, int64_t n);

/// The gradient of an op's input during the backward pass, allocated if need be; nothing if it is
/// not wanted. If `fresh`, its numbers are undefined and every one must be written, else they must
/// be added to.
struct GradientSink {
  explicit GradientSink(const tensor::Tensor& of) {
    if (of.wants_grad()) grad = of.grad_for_write(fresh);
  }
  [[nodiscard]] bool wanted() const { return grad.defined(); }
  /// Null if the gradient is not wanted.
  [[nodiscard]] float* row(int64_t r) const { return wanted() ? grad.row(r) : nullptr; }
  /// Writes or adds n values at row r, from `column` on; nothing if the gradient is not wanted.
  void put(int64_t r, int64_t column, const float* values, int64_t n) const {
    if (!wanted()) return;
    float* to = grad.row(r) + column;
    if (fresh) {
      std::copy_n(values, n, to);
    } else {
      add_to(to, values, n);
    }
  }

  tensor::Tensor grad;
  bool fresh = false;
};

/// What a thread must have to do before it is worth waking, in elements.
inline constexpr int64_t kElementsPerThread = 16384;

/// fn(r) for every row, in parallel when there are enough elements. Evolving rows cost more than
/// mature ones and lie together, so idle threads take the next rows instead of fixed shares.
template <class Fn>
void for_each_row(int64_t rows, int64_t cols, const Fn& fn) {
  const int64_t chunk = kElementsPerThread / std::max<int64_t>(cols, 1) + 1;
  parallel_items((rows + chunk - 1) / chunk, [&](int64_t i) {
    for (int64_t r = i * chunk; r < std::min((i + 1) * chunk, rows); ++r) fn(r);
  });
}

/// fn(r, partial) for every row. `partial` [cols] starts at zero and belongs to a chunk of rows
/// that does not depend on the number of threads; afterwards sum [cols] += the partials in order.
/// With sum = null nothing is summed and `partial` is null.
template <class Fn>
void sum_over_rows(int64_t rows, int64_t cols, float* sum, const Fn& fn) {
  if (sum == nullptr) {
    for_each_row(rows, cols, [&](int64_t r) { fn(r, static_cast<float*>(nullptr)); });
    return;
  }
  constexpr int64_t kChunkRows = 32;
  const int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  const tensor::Tensor partials = tensor::Tensor::zeros({chunks, cols});
  parallel_items(chunks, [&](int64_t i) {
    for (int64_t r = i * kChunkRows; r < std::min((i + 1) * kChunkRows, rows); ++r) {
      fn(r, partials.row(i));
    }
  });
  parallel_for(cols, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      add_to(sum + begin, partials.row(chunk) + begin, end - begin);
    }
  });
}

}  // namespace evo::ops
