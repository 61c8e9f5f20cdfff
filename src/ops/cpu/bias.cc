#include "ops/bias.h"

#include "ops/cpu/cpu.h"

#include "ops/cpu/rows.h"

namespace evo::ops::cpu {

void add_bias(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& bias) {
  EVO_CHECK(x.shape().size() == 2 && bias.numel() == x.shape()[1]);
  const int64_t width = x.shape()[1];
  for_each_row(x.rows(), width, [&](int64_t r) { add_to(x.row(r), bias.f32(), width); });
  if (!tape.recording() || !bias.wants_grad()) return;
  tape.record([=] {
    if (!x.has_grad()) return;
    const tensor::Tensor dx = x.grad();
    ops::sum_over_rows(x.rows(), width, bias.grad().f32(),
                       [&](int64_t r, float* partial) { ops::add_to(partial, dx.row(r), width); });
  });
}

void add_to_last_rows(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& delta) {
  EVO_CHECK(x.shape().size() == 2 && delta.cols() == x.cols() && delta.rows() <= x.rows());
  const int64_t width = x.cols(), first = x.rows() - delta.rows();
  ops::for_each_row(delta.rows(), width,
                    [&](int64_t r) { ops::add_to(x.row(first + r), delta.row(r), width); });
  if (!tape.recording() || !delta.wants_grad()) return;
  tape.record([=] {
    if (!x.has_grad()) return;
    const tensor::Tensor dx = x.grad();
    const GradientSink sink(delta);
    ops::for_each_row(delta.rows(), width,
                      [&](int64_t r) { sink.put(r, 0, dx.row(first + r), width); });
  });
}

}  // namespace evo::ops::cpu
