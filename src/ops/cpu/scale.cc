#include "ops/scale.h"

#include "ops/cpu/cpu.h"

#include "ops/cpu/rows.h"

namespace evo::ops::cpu {

tensor::Tensor scaled(tensor::Tape& tape, const tensor::Tensor& x, float factor) {
  EVO_CHECK(x.shape().size() == 2);
  const int64_t cols = x.shape()[1];
  const tensor::Tensor y = tape.output({x.rows(), cols});
  for_each_row(x.rows(), cols, [&](int64_t r) {
    for (int64_t c = 0; c < cols; ++c) y.row(r)[c] = factor * x.row(r)[c];
  });
  if (!tape.recording()) return y;
  tape.record([=] {
    if (!y.has_grad() || !x.wants_grad()) return;
    const tensor::Tensor dy = y.grad();
    const GradientSink dx(x);
    for_each_row(x.rows(), cols, [&](int64_t r) {
      float* const to = dx.row(r);
      for (int64_t c = 0; c < cols; ++c) {
        to[c] = dx.fresh ? factor * dy.row(r)[c] : to[c] + factor * dy.row(r)[c];
      }
    });
  });
  return y;
}

}  // namespace evo::ops::cpu
