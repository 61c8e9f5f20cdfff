#include "ops/gated_scan.h"

#include "ops/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/gated_scan.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd/math-inl.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

/// next = previous + sigmoid(u) * (tanh(y) - previous); a [2n] holds u | y. `next` may be
/// `previous`.
void scan_row(const float* a, const float* previous, size_t n, float* next) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto gate = Sigmoid(d, lanes.load(d, a + i));
    const auto target = Tanh(d, lanes.load(d, a + n + i));
    const auto before = lanes.load(d, previous + i);
    lanes.store(hn::MulAdd(gate, hn::Sub(target, before), before), d, next + i);
  });
}

/// Gradients of scan_row. `carry` [n] comes in as the gradient that later rows of the block give to
/// this row's `next` and leaves as the gradient for `previous`. da is written if `fresh`, else
/// added to.
void scan_row_backward(const float* a, const float* previous, const float* dnext, size_t n,
                       bool fresh, float* carry, float* da) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto one = hn::Set(d, 1.0f);
    const auto gate = Sigmoid(d, lanes.load(d, a + i));
    const auto target = Tanh(d, lanes.load(d, a + n + i));
    const auto total = hn::Add(lanes.load(d, dnext + i), lanes.load(d, carry + i));
    const auto by_target = hn::Mul(total, gate);
    const auto by_previous = hn::Sub(total, by_target);
    const auto distance = hn::Sub(target, lanes.load(d, previous + i));
    // sigmoid' = gate (1 - gate), tanh' = 1 - target^2
    auto by_u = hn::Mul(hn::Mul(by_target, hn::Sub(one, gate)), distance);
    auto by_y = hn::Mul(by_target, hn::NegMulAdd(target, target, one));
    if (!fresh) {
      by_u = hn::Add(by_u, lanes.load(d, da + i));
      by_y = hn::Add(by_y, lanes.load(d, da + n + i));
    }
    lanes.store(by_u, d, da + i);
    lanes.store(by_y, d, da + n + i);
    lanes.store(by_previous, d, carry + i);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <vector>

#include "ops/cpu/rows.h"

namespace evo::ops::cpu {
HWY_EXPORT(scan_row);
HWY_EXPORT(scan_row_backward);

namespace {

/// First rows of the blocks, then the number of rows.
std::vector<int64_t> block_bounds(std::span<const uint8_t> block_starts) {
  std::vector<int64_t> bounds;
  for (int64_t r = 0; r < std::ssize(block_starts); ++r) {
    if (r == 0 || block_starts[r] != 0) bounds.push_back(r);
  }
  bounds.push_back(std::ssize(block_starts));
  return bounds;
}

/// fn(first row, end row) for every block, in parallel.
template <class Fn>
void for_each_block(const std::vector<int64_t>& bounds, int64_t cols, const Fn& fn) {
  const int64_t blocks = std::ssize(bounds) - 1;
  if (blocks == 0) return;
  ops::for_each_row(blocks, bounds.back() / blocks * cols,
                    [&](int64_t block) { fn(bounds[block], bounds[block + 1]); });
}

void gated_scan_backward(const tensor::Tensor& a, const tensor::Tensor& states,
                         const std::vector<int64_t>& bounds) {
  if (!states.has_grad() || !a.wants_grad()) return;
  const tensor::Tensor dstates = states.grad();
  const GradientSink da(a);
  const int64_t cols = states.cols();
  const tensor::Tensor zeros = tensor::Tensor::zeros({cols});
  for_each_block(bounds, cols, [&](int64_t begin, int64_t end) {
    std::vector<float> carry(static_cast<size_t>(cols), 0.0f);
    for (int64_t r = end - 1; r >= begin; --r) {
      const float* previous = r == begin ? zeros.f32() : states.row(r - 1);
      HWY_DYNAMIC_DISPATCH(scan_row_backward)
      (a.row(r), previous, dstates.row(r), carry.size(), da.fresh, carry.data(), da.row(r));
    }
  });
}

}  // namespace

tensor::Tensor gated_scan(tensor::Tape& tape, const tensor::Tensor& a,
                          std::span<const uint8_t> block_starts) {
  EVO_CHECK(a.shape().size() == 2 && a.shape()[1] % 2 == 0);
  EVO_CHECK(std::ssize(block_starts) == a.rows());
  const int64_t cols = a.shape()[1] / 2;
  const tensor::Tensor states = tape.output({a.rows(), cols});
  const tensor::Tensor zeros = tensor::Tensor::zeros({cols});
  std::vector<int64_t> bounds = block_bounds(block_starts);
  for_each_block(bounds, cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* previous = r == begin ? zeros.f32() : states.row(r - 1);
      HWY_DYNAMIC_DISPATCH(scan_row)
      (a.row(r), previous, static_cast<size_t>(cols), states.row(r));
    }
  });
  if (tape.recording()) {
    tape.record([=, bounds = std::move(bounds)] { gated_scan_backward(a, states, bounds); });
  }
  return states;
}

void gated_step(std::span<const float> a, std::span<float> state) {
  EVO_CHECK(a.size() == 2 * state.size());
  HWY_DYNAMIC_DISPATCH(scan_row)(a.data(), state.data(), state.size(), state.data());
}

}  // namespace evo::ops::cpu
#endif  // HWY_ONCE
