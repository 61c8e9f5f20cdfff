#include "ops/linear.h"

#include "ops/cpu/cpu.h"
#include "ops/cpu/matmul/matmul.h"

namespace evo::ops::cpu {

tensor::Tensor linear(tensor::Tape& tape, const tensor::Tensor& x, const Weight& weight) {
  const int64_t n = x.rows();
  if (!tape.recording() && weight.packed) {
    tensor::Tensor y = tape.output({n, weight.packed->out()});
    EVO_CHECK(n == 0 || x.cols() == weight.packed->in());
    weight.packed->multiply(x.f32(), n, y.f32());
    return y;
  }

  const tensor::Tensor w = weight.value;
  const int64_t out = w.rows(), in = w.cols();
  EVO_CHECK(n == 0 || x.cols() == in);
  tensor::Tensor y = tape.output({n, out});
  const tensor::Precision precision = tape.precision();
  ops::matmul(ops::matrix(x.f32(), n, in), ops::matrix(w.f32(), out, in).transposed(), y.f32(), out,
              false, precision);
  if (!tape.recording()) return y;

  y.set_wants_grad(x.wants_grad() || w.wants_grad());
  tape.record([=] {
    if (!y.has_grad()) return;
    const MatmulOperand dy(ops::matrix(y.grad().f32(), n, out), precision);
    bool fresh = false;
    if (x.wants_grad()) {
      const tensor::Tensor dx = x.grad_for_write(fresh);
      ops::matmul(dy, {ops::matrix(w.f32(), out, in), precision}, dx.f32(), in, !fresh);
    }
    if (w.wants_grad()) {
      const tensor::Tensor dw = w.grad_for_write(fresh);
      ops::matmul(dy.transposed(), {ops::matrix(x.f32(), n, in), precision}, dw.f32(), in, !fresh);
    }
  });
  return y;
}

}  // namespace evo::ops::cpu
