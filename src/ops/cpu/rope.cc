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

/// Rotates the first 2 * half numbers of `count` heads of `size` in place: (a, b) ->
/// (a cos - b sin, b cos + a sin) for a in the first half of them and b in the second. `direction`
/// is 1, or -1 to rotate back.
void rotate_heads(float* heads, int64_t count, int64_t size, size_t half, const float* cosine,
                  const float* sine, float direction) {
  const FloatTag d;
  for (int64_t head = 0; head < count; ++head) {
    float* first = heads + head * size;
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
  const auto half = static_cast<size_t>(table.head_size() / 2);
  for_each_row(rows.rows(), heads * layout.head_size, [&](int64_t r) {
    const int64_t position = positions[r];
    HWY_DYNAMIC_DISPATCH(rotate_heads)
    (rows.row(r), heads, layout.head_size, half, table.cos_row(position), table.sin_row(position),
     direction);
  });
}

/// The numbers of a row that head_norm takes together, and what its backward pass needs.
struct HeadNorm {
  tensor::Tensor qkv, q_weight, k_weight;
  HeadLayout layout;
  tensor::Tensor out = {};
  tensor::Tensor inverse_rms = {};  // [N, parts]
  tensor::Tensor zeros = {};        // [the longer weight]: no modulation

  [[nodiscard]] int64_t q_parts() const { return layout.q_cols() / q_weight.numel(); }
  [[nodiscard]] int64_t parts() const { return q_parts() + layout.kv_cols() / k_weight.numel(); }
  [[nodiscard]] bool is_query(int64_t part) const { return part < q_parts(); }
  [[nodiscard]] const tensor::Tensor& weight(int64_t part) const {
    return is_query(part) ? q_weight : k_weight;
  }
  [[nodiscard]] int64_t size(int64_t part) const { return weight(part).numel(); }
  /// The part's first column.
  [[nodiscard]] int64_t begin(int64_t part) const {
    return is_query(part) ? part * q_weight.numel()
                          : layout.q_cols() + (part - q_parts()) * k_weight.numel();
  }
};

/// `dweights` [q's size + k's size]: partial gradients of q_weight and k_weight.
void head_norm_row_backward(const HeadNorm& op, int64_t r, const GradientSink& dqkv,
                            float* dweights) {
  const tensor::Tensor dout = op.out.grad();
  for (int64_t part = 0; part < op.parts(); ++part) {
    const auto n = static_cast<size_t>(op.size(part));
    const float* x = op.qkv.row(r) + op.begin(part);
    const float* dy = dout.row(r) + op.begin(part);
    const float inverse = op.inverse_rms.row(r)[part];
    HWY_DYNAMIC_DISPATCH(norm_factor_gradient)
    (x, op.zeros.f32(), /*plus_one=*/true, inverse, dy, n,
     dweights + (op.is_query(part) ? 0 : op.q_weight.numel()));
    if (float* dx = dqkv.row(r)) {
      HWY_DYNAMIC_DISPATCH(norm_input_gradient)
      (x, op.weight(part).f32(), op.zeros.f32(), inverse, dy, n, dqkv.fresh, dx + op.begin(part));
    }
  }
}

void head_norm_backward(const HeadNorm& op) {
  if (!op.out.has_grad()) return;
  const tensor::Tensor dout = op.out.grad();
  const GradientSink dqkv(op.qkv);
  const int64_t values = op.layout.q_cols() + op.layout.kv_cols();  // their first column
  const int64_t of_q = op.q_weight.numel(), of_k = op.k_weight.numel();
  const tensor::Tensor dweights = tensor::Tensor::zeros({of_q + of_k});
  sum_over_rows(op.qkv.rows(), of_q + of_k, dweights.f32(), [&](int64_t r, float* partial) {
    head_norm_row_backward(op, r, dqkv, partial);
    dqkv.put(r, values, dout.row(r) + values, op.layout.kv_cols());
  });
  if (op.q_weight.wants_grad()) add_to(op.q_weight.grad().f32(), dweights.f32(), of_q);
  if (op.k_weight.wants_grad()) add_to(op.k_weight.grad().f32(), dweights.f32() + of_q, of_k);
}

}  // namespace

void rope(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
          const RopeTable& table, std::span<const int32_t> positions) {
  EVO_CHECK(qkv.shape().size() == 2 && qkv.shape()[1] == layout.row_cols());
  EVO_CHECK(table.head_size() <= layout.head_size);
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
  const bool of_heads =
      q_weight.numel() == layout.head_size && k_weight.numel() == layout.head_size;
  EVO_CHECK(of_heads ||
            (q_weight.numel() == layout.q_cols() && k_weight.numel() == layout.kv_cols()));
  HeadNorm op{.qkv = qkv, .q_weight = q_weight, .k_weight = k_weight, .layout = layout};
  op.out = tape.output({qkv.rows(), layout.row_cols()});
  op.inverse_rms = tensor::Tensor::empty({qkv.rows(), op.parts()});
  op.zeros = tensor::Tensor::zeros({std::max(q_weight.numel(), k_weight.numel())});
  const int64_t values = layout.q_cols() + layout.kv_cols();
  for_each_row(qkv.rows(), layout.row_cols(), [&](int64_t r) {
    for (int64_t part = 0; part < op.parts(); ++part) {
      op.inverse_rms.row(r)[part] = HWY_DYNAMIC_DISPATCH(norm_row)(
          qkv.row(r) + op.begin(part), op.weight(part).f32(), op.zeros.f32(), eps,
          static_cast<size_t>(op.size(part)), op.out.row(r) + op.begin(part));
    }
    std::copy_n(qkv.row(r) + values, layout.kv_cols(), op.out.row(r) + values);
  });
  if (tape.recording()) {
    tape.record([op] { head_norm_backward(op); });
  }
  return op.out;
}

}  // namespace evo::ops::cpu
#endif  // HWY_ONCE
