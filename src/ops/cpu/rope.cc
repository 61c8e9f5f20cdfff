#include "ops/rope.h"

#include "ops/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/rope.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd/norm-inl.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

/// Rotates `count` heads of size 2 * half in place: (a, b) -> (a cos - b sin, b cos + a sin) for
/// a in a head's first half and b in its second. `direction` is 1, or -1 to rotate back.
void rotate_heads(float* heads, int64_t count, size_t half, const float* cosine, const float* sine,
                  float direction) {
  const FloatTag d;
  for (int64_t head = 0; head < count; ++head) {
    float* first = heads + head * 2 * static_cast<int64_t>(half);
    float* second = first + half;
    for_each_vector(d, half, [&](size_t i, auto lanes) HWY_ATTR {
      const auto cos = lanes.load(d, cosine + i);
      const auto sin = hn::Mul(lanes.load(d, sine + i), hn::Set(d, direction));
      const auto a = lanes.load(d, first + i);
      const auto b = lanes.load(d, second + i);
      lanes.store(hn::NegMulAdd(b, sin, hn::Mul(a, cos)), d, first + i);
      lanes.store(hn::MulAdd(a, sin, hn::Mul(b, cos)), d, second + i);
    });
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>
#include <mutex>
#include <vector>

#include "ops/cpu/rows.h"

namespace evo::ops::cpu {
HWY_EXPORT(rotate_heads);
HWY_EXPORT(norm_row);
HWY_EXPORT(norm_input_gradient);
HWY_EXPORT(norm_factor_gradient);

namespace {

void rotate_rows(const tensor::Tensor& rows, const HeadLayout& layout, const RopeTable& table,
                 const std::vector<int32_t>& positions, float direction) {
  const int heads = layout.query_heads + layout.kv_heads;
  const auto half = static_cast<size_t>(layout.head_size / 2);
  ops::for_each_row(rows.rows(), heads * layout.head_size, [&](int64_t r) {
    const int64_t position = positions[r];
    HWY_DYNAMIC_DISPATCH(rotate_heads)
    (rows.row(r), heads, half, table.cos_row(position), table.sin_row(position), direction);
  });
}

/// What head_norm's backward pass needs.
struct HeadNorm {
  tensor::Tensor qkv, q_weight, k_weight;
  HeadLayout layout;
  tensor::Tensor out = {};
  tensor::Tensor inverse_rms = {};  // [N, query_heads + kv_heads]
  tensor::Tensor zeros = {};        // [head_size]: no modulation

  [[nodiscard]] int heads() const { return layout.query_heads + layout.kv_heads; }
  [[nodiscard]] bool is_query(int head) const { return head < layout.query_heads; }
  [[nodiscard]] const tensor::Tensor& weight(int head) const {
    return is_query(head) ? q_weight : k_weight;
  }
};

/// `dweights` [2 * head_size]: partial gradients of q_weight and k_weight.
void head_norm_row_backward(const HeadNorm& op, int64_t r, const GradientSink& dqkv,
                            float* dweights) {
  const int64_t size = op.layout.head_size;
  const auto n = static_cast<size_t>(size);
  const tensor::Tensor dout = op.out.grad();
  for (int head = 0; head < op.heads(); ++head) {
    const float* x = op.qkv.row(r) + head * size;
    const float* dy = dout.row(r) + head * size;
    const float inverse = op.inverse_rms.row(r)[head];
    HWY_DYNAMIC_DISPATCH(norm_factor_gradient)
    (x, op.zeros.f32(), /*plus_one=*/true, inverse, dy, n,
     dweights + (op.is_query(head) ? 0 : size));
    if (float* dx = dqkv.row(r)) {
      HWY_DYNAMIC_DISPATCH(norm_input_gradient)
      (x, op.weight(head).f32(), op.zeros.f32(), inverse, dy, n, dqkv.fresh, dx + head * size);
    }
  }
}

void head_norm_backward(const HeadNorm& op) {
  if (!op.out.has_grad()) return;
  const tensor::Tensor dout = op.out.grad();
  const GradientSink dqkv(op.qkv);
  const int64_t size = op.layout.head_size;
  const int64_t values = op.heads() * size;  // first column of the value heads
  const tensor::Tensor dweights = tensor::Tensor::zeros({2, size});
  ops::sum_over_rows(op.qkv.rows(), 2 * size, dweights.f32(), [&](int64_t r, float* partial) {
    head_norm_row_backward(op, r, dqkv, partial);
    dqkv.put(r, values, dout.row(r) + values, op.layout.kv_cols());
  });
  for (const int i : {0, 1}) {
    const tensor::Tensor& weight = i == 0 ? op.q_weight : op.k_weight;
    if (weight.wants_grad()) ops::add_to(weight.grad().f32(), dweights.row(i), size);
  }
}

}  // namespace

void rope(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
          const RopeTable& table, std::span<const int32_t> positions) {
  EVO_CHECK(qkv.shape().size() == 2 && qkv.shape()[1] == layout.row_cols());
  EVO_CHECK(table.head_size() == layout.head_size);
  EVO_CHECK(std::ssize(positions) == qkv.rows());
  for (const int32_t position : positions) {
    EVO_CHECK(position >= 0 && position < table.max_position());
  }
  std::vector<int32_t> kept(positions.begin(), positions.end());
  rotate_rows(qkv, layout, table, kept, 1.0f);
  if (!tape.recording()) return;
  tape.record([=, kept = std::move(kept)] {
    if (qkv.has_grad()) rotate_rows(qkv.grad(), layout, table, kept, -1.0f);
  });
}

tensor::Tensor head_norm(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
                         const tensor::Tensor& q_weight, const tensor::Tensor& k_weight,
                         float eps) {
  EVO_CHECK(qkv.shape().size() == 2 && qkv.shape()[1] == layout.row_cols());
  EVO_CHECK(q_weight.numel() == layout.head_size && k_weight.numel() == layout.head_size);
  HeadNorm op{.qkv = qkv, .q_weight = q_weight, .k_weight = k_weight, .layout = layout};
  op.out = tape.output({qkv.rows(), layout.row_cols()});
  op.inverse_rms = tensor::Tensor::empty({qkv.rows(), op.heads()});
  op.zeros = tensor::Tensor::zeros({layout.head_size});
  ops::for_each_row(qkv.rows(), layout.row_cols(), [&](int64_t r) {
    const float* x = qkv.row(r);
    float* y = op.out.row(r);
    for (int head = 0; head < op.heads(); ++head) {
      op.inverse_rms.row(r)[head] = HWY_DYNAMIC_DISPATCH(norm_row)(
          x, op.weight(head).f32(), op.zeros.f32(), eps, static_cast<size_t>(layout.head_size), y);
      x += layout.head_size;
      y += layout.head_size;
    }
    std::copy_n(x, layout.kv_cols(), y);
  });
  if (tape.recording()) {
    tape.record([op] { head_norm_backward(op); });
  }
  return op.out;
}

}  // namespace evo::ops::cpu
#endif  // HWY_ONCE
