#include "ops/cpu/activation.h"

#include "ops/cpu/cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/activation.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <numbers>

#include "ops/cpu/simd/math-inl.h"
#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

struct Silu {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V value(D d, V x) {
    return hn::Mul(x, Sigmoid(d, x));
  }
  /// s (1 + x (1 - s)) with s = sigmoid(x).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V slope(D d, V x) {
    const auto one = hn::Set(d, 1.0f);
    const auto s = Sigmoid(d, x);
    return hn::Mul(s, hn::MulAdd(x, hn::Sub(one, s), one));
  }
};

struct GeluTanh {
  static constexpr float kFactor = 0.797884560802865f;  // sqrt(2 / pi)
  static constexpr float kCubic = 0.044715f;

  /// tanh(kFactor (x + kCubic x^3)).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V bend(D d, V x) {
    const auto cubed = hn::Mul(hn::Mul(x, x), hn::Mul(hn::Set(d, kCubic), x));
    return Tanh(d, hn::Mul(hn::Set(d, kFactor), hn::Add(x, cubed)));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V value(D d, V x) {
    const auto half = hn::Mul(hn::Set(d, 0.5f), x);
    return hn::MulAdd(half, bend(d, x), half);
  }
  /// (1 + t) / 2 + x (1 - t^2) kFactor (1 + 3 kCubic x^2) / 2 with t = bend(x).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V slope(D d, V x) {
    const auto one = hn::Set(d, 1.0f), half = hn::Set(d, 0.5f);
    const auto t = bend(d, x);
    const auto inner =
        hn::Mul(hn::Set(d, kFactor), hn::MulAdd(hn::Set(d, 3 * kCubic), hn::Mul(x, x), one));
    const auto steep = hn::Mul(hn::Mul(half, x), hn::Mul(hn::NegMulAdd(t, t, one), inner));
    return hn::Add(hn::MulAdd(half, t, half), steep);
  }
};

/// Number by number: few models have it.
struct Gelu {
  template <class D, class V, class Fn>
  static HWY_INLINE V each(D d, V x, const Fn& fn) {
    HWY_ALIGN float values[hn::MaxLanes(D())];
    hn::Store(x, d, values);
    for (float& value : values) value = static_cast<float>(fn(static_cast<double>(value)));
    return hn::Load(d, values);
  }
  static double below(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V value(D d, V x) {
    return each(d, x, [](double v) { return v * below(v); });
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V slope(D d, V x) {
    return each(d, x, [](double v) {
      return below(v) + v * std::exp(-v * v / 2) / std::sqrt(2 * std::numbers::pi);
    });
  }
};

/// fn(function) for the named one.
template <class Fn>
HWY_INLINE void with_function(Activation f, const Fn& fn) {
  switch (f) {
    case Activation::kSilu:
      return fn(Silu());
    case Activation::kGelu:
      return fn(Gelu());
    case Activation::kGeluTanh:
      return fn(GeluTanh());
  }
}

/// out = f(x) * up; without `up`, f(x).
void activate_row(Activation f, const float* x, const float* up, size_t n, float* out) {
  const FloatTag d;
  with_function(f, [&](auto function) HWY_ATTR {
    for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
      const auto value = function.value(d, lanes.load(d, x + i));
      lanes.store(up ? hn::Mul(value, lanes.load(d, up + i)) : value, d, out + i);
    });
  });
}

/// dx = dout * up * f'(x), dup = dout * f(x), written if `fresh`, else added; without `up`,
/// dx = dout * f'(x).
void activate_row_backward(Activation f, const float* x, const float* up, const float* dout,
                           size_t n, bool fresh, float* dx, float* dup) {
  const FloatTag d;
  with_function(f, [&](auto function) HWY_ATTR {
    for_each_vector(d, n, [&](size_t i, auto lanes) HWY_ATTR {
      const auto put = [&](auto value, float* to) HWY_ATTR {
        lanes.store(fresh ? value : hn::Add(value, lanes.load(d, to + i)), d, to + i);
      };
      const auto g = lanes.load(d, x + i);
      const auto dy = lanes.load(d, dout + i);
      if (up == nullptr) {
        put(hn::Mul(dy, function.slope(d, g)), dx);
        return;
      }
      const auto by_gate = hn::Mul(hn::Mul(dy, lanes.load(d, up + i)), function.slope(d, g));
      put(by_gate, dx);
      put(hn::Mul(dy, function.value(d, g)), dup);
    });
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "ops/cpu/rows.h"

namespace evo::ops {
HWY_EXPORT(activate_row);
HWY_EXPORT(activate_row_backward);

void activate_gated_row(Activation f, const float* gate, const float* up, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(activate_row)(f, gate, up, static_cast<size_t>(n), out);
}

void activate_gated_row_backward(Activation f, const float* gate, const float* up,
                                 const float* dout, int64_t n, float* dgate, float* dup) {
  HWY_DYNAMIC_DISPATCH(activate_row_backward)
  (f, gate, up, dout, static_cast<size_t>(n), true, dgate, dup);
}

namespace cpu {
namespace {

/// `gated`: x holds gate | up.
tensor::Tensor activate_rows(tensor::Tape& tape, const tensor::Tensor& x, Activation f,
                             bool gated) {
  EVO_CHECK(x.shape().size() == 2 && (!gated || x.shape()[1] % 2 == 0));
  const int64_t cols = gated ? x.shape()[1] / 2 : x.shape()[1];
  const auto n = static_cast<size_t>(cols);
  const auto up_of = [=](float* row) { return gated ? row + cols : nullptr; };
  const tensor::Tensor out = tape.output({x.rows(), cols});
  for_each_row(x.rows(), cols, [&](int64_t r) {
    HWY_DYNAMIC_DISPATCH(activate_row)(f, x.row(r), up_of(x.row(r)), n, out.row(r));
  });
  if (!tape.recording()) return out;
  tape.record([=] {
    if (!out.has_grad() || !x.wants_grad()) return;
    const tensor::Tensor dout = out.grad();
    const GradientSink sink(x);
    for_each_row(x.rows(), cols, [&](int64_t r) {
      HWY_DYNAMIC_DISPATCH(activate_row_backward)
      (f, x.row(r), up_of(x.row(r)), dout.row(r), n, sink.fresh, sink.row(r), up_of(sink.row(r)));
    });
  });
  return out;
}

}  // namespace

tensor::Tensor activate(tensor::Tape& tape, const tensor::Tensor& x, Activation f) {
  return activate_rows(tape, x, f, false);
}

tensor::Tensor activate_gated(tensor::Tape& tape, const tensor::Tensor& gate_up, Activation f) {
  return activate_rows(tape, gate_up, f, true);
}

}  // namespace cpu
}  // namespace evo::ops
#endif  // HWY_ONCE
