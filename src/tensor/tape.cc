#include "tensor/tape.h"

namespace evo::tensor {

Tensor Tape::output(std::vector<int64_t> shape) const {
  Tensor made = Tensor::empty(std::move(shape));
  made.set_wants_grad(recording());
  return made;
}

void Tape::record(std::function<void()> backward) {
  EVO_CHECK(recording());
  closures_.push_back(std::move(backward));
}

void Tape::recompute(const Tensor& value, std::function<Tensor(Tape&)> make) {
  if (!recording()) return;
  value.release();
  record([value, make = std::move(make), precision = precision_] {
    Tape again(Mode::kInference, precision);
    value.take(make(again));
  });
}

Tensor Tape::remade(std::function<Tensor(Tape&)> make) {
  Tape first(Mode::kInference, precision_);
  Tensor made = make(first);
  made.set_wants_grad(true);
  record([made, make = std::move(make), precision = precision_] {
    if (!made.has_grad()) return;
    Tape again(Mode::kTraining, precision);
    make(again).take_grad(made);
    again.backward();
  });
  return made;
}

void Tape::backward(const std::function<void()>& between) {
  while (!closures_.empty()) {
    closures_.back()();
    closures_.pop_back();
    if (between) between();
  }
}

}  // namespace evo::tensor
