#include "ops/swiglu.h"

#include "ops/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/swiglu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd/math-inl.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

void swiglu_row(const float* gate, const float* up, size_t n, float* out) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto g = lanes.load(d, gate + i);
    const auto silu = hn::Mul(g, Sigmoid(d, g));
    lanes.store(hn::Mul(silu, lanes.load(d, up + i)), d, out + i);
  });
}

/// With s = sigmoid(gate): dgate = dout * up * s * (1 + gate * (1 - s)), dup = dout * gate * s;
/// written if `fresh`, else added.
void swiglu_row_backward(const float* gate, const float* up, const float* dout, size_t n,
                         bool fresh, float* dgate, float* dup) {
  const FloatTag d;
  for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
    const auto one = hn::Set(d, 1.0f);
    const auto g = lanes.load(d, gate + i);
    const auto s = Sigmoid(d, g);
    const auto slope = hn::Mul(s, hn::MulAdd(g, hn::Sub(one, s), one));
    const auto dy = lanes.load(d, dout + i);
    auto by_gate = hn::Mul(hn::Mul(dy, lanes.load(d, up + i)), slope);
    auto by_up = hn::Mul(dy, hn::Mul(g, s));
    if (!fresh) {
      by_gate = hn::Add(by_gate, lanes.load(d, dgate + i));
      by_up = hn::Add(by_up, lanes.load(d, dup + i));
    }
    lanes.store(by_gate, d, dgate + i);
    lanes.store(by_up, d, dup + i);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "ops/cpu/rows.h"

namespace evo::ops::cpu {
HWY_EXPORT(swiglu_row);
HWY_EXPORT(swiglu_row_backward);

tensor::Tensor swiglu(tensor::Tape& tape, const tensor::Tensor& gate_up) {
  EVO_CHECK(gate_up.shape().size() == 2 && gate_up.shape()[1] % 2 == 0);
  const int64_t cols = gate_up.shape()[1] / 2;
  const auto n = static_cast<size_t>(cols);
  const tensor::Tensor out = tape.output({gate_up.rows(), cols});
  ops::for_each_row(gate_up.rows(), cols, [&](int64_t r) {
    const float* gate = gate_up.row(r);
    HWY_DYNAMIC_DISPATCH(swiglu_row)(gate, gate + cols, n, out.row(r));
  });
  if (!tape.recording()) return out;
  tape.record([=] {
    if (!out.has_grad() || !gate_up.wants_grad()) return;
    const tensor::Tensor dout = out.grad();
    const GradientSink sink(gate_up);
    ops::for_each_row(gate_up.rows(), cols, [&](int64_t r) {
      const float* gate = gate_up.row(r);
      float* dgate = sink.row(r);
      HWY_DYNAMIC_DISPATCH(swiglu_row_backward)
      (gate, gate + cols, dout.row(r), n, sink.fresh, dgate, dgate + cols);
    });
  });
  return out;
}

}  // namespace evo::ops::cpu
#endif  // HWY_ONCE
