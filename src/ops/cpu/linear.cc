#include "ops/linear.h"

#include "ops/cpu/cpu.h"
#include "ops/cpu/matmul/matmul.h"

namespace evo::cpu {

Tensor linear(Tape& tape, const Tensor& x, const Weight& weight) {
  const int64_t n = x.rows();
  if (!tape.recording() && weight.packed) {
    Tensor y = tape.output({n, weight.packed->out()});
    EVO_CHECK(n == 0 || x.cols() == weight.packed->in());
    weight.packed->multiply(x.f32(), n, y.f32());
    return y;
  }

  const Tensor w = weight.value;
  const int64_t out = w.rows(), in = w.cols();
  EVO_CHECK(n == 0 || x.cols() == in);
  Tensor y = tape.output({n, out});
  const Precision precision = tape.precision();
  matmul(matrix(x.f32(), n, in), matrix(w.f32(), out, in).transposed(), y.f32(), out, false,
         precision);
  if (!tape.recording()) return y;

  y.set_wants_grad(x.wants_grad() || w.wants_grad());
  tape.record([=] {
    if (!y.has_grad()) return;
    const MatmulOperand dy(matrix(y.grad().f32(), n, out), precision);
    bool fresh = false;
    if (x.wants_grad()) {
      const Tensor dx = x.grad_for_write(fresh);
      matmul(dy, {matrix(w.f32(), out, in), precision}, dx.f32(), in, !fresh);
    }
    if (w.wants_grad()) {
      const Tensor dw = w.grad_for_write(fresh);
      matmul(dy.transposed(), {matrix(x.f32(), n, in), precision}, dw.f32(), in, !fresh);
    }
  });
  return y;
}

}  // namespace evo::cpu
