#include "ops/bias.h"

#include "ops/cpu/cpu.h"

#include "ops/cpu/rows.h"

namespace evo::cpu {

void add_bias(Tape& tape, const Tensor& x, const Tensor& bias) {
  EVO_CHECK(x.shape().size() == 2 && bias.numel() == x.shape()[1]);
  const int64_t width = x.shape()[1];
  for_each_row(x.rows(), width, [&](int64_t r) { add_to(x.row(r), bias.f32(), width); });
  if (!tape.recording() || !bias.wants_grad()) return;
  tape.record([=] {
    if (!x.has_grad()) return;
    const Tensor dx = x.grad();
    sum_over_rows(x.rows(), width, bias.grad().f32(),
                  [&](int64_t r, float* partial) { add_to(partial, dx.row(r), width); });
  });
}

void add_to_last_rows(Tape& tape, const Tensor& x, const Tensor& delta) {
  EVO_CHECK(x.shape().size() == 2 && delta.cols() == x.cols() && delta.rows() <= x.rows());
  const int64_t width = x.cols(), first = x.rows() - delta.rows();
  for_each_row(delta.rows(), width,
               [&](int64_t r) { add_to(x.row(first + r), delta.row(r), width); });
  if (!tape.recording() || !delta.wants_grad()) return;
  tape.record([=] {
    if (!x.has_grad()) return;
    const Tensor dx = x.grad();
    const GradientSink sink(delta);
    for_each_row(delta.rows(), width, [&](int64_t r) { sink.put(r, 0, dx.row(first + r), width); });
  });
}

}  // namespace evo::cpu
