#include "model/parameters.h"

#include <algorithm>

#include "base/checked.h"

namespace evo {

int64_t Parameter::numel() const {
  int64_t total = 1;
  for (int64_t extent : shape) total = checked_mul(total, extent, name);
  return total;
}

void ParameterStore::declare(std::string name, std::vector<int64_t> shape) {
  parameters_.push_back({std::move(name), std::move(shape), size_});
  size_ = checked_add(size_, parameters_.back().numel(), "number of parameters");
}

void ParameterStore::allocate(bool gradients) {
  values_ = Tensor::zeros({size_});
  if (gradients) gradients_ = Tensor::zeros({size_});
}

const Parameter& ParameterStore::find(const std::string& name) const {
  const auto found = std::find_if(parameters_.begin(), parameters_.end(),
                                  [&](const Parameter& p) { return p.name == name; });
  EVO_CHECK(found != parameters_.end());
  return *found;
}

Tensor ParameterStore::tensor(const std::string& name) const {
  const Parameter& p = find(name);
  return view(p.offset, p.shape);
}

Tensor ParameterStore::fused(const std::string& first, const std::string& last) const {
  const Parameter& begin = find(first);
  const Parameter& end = find(last);
  EVO_CHECK(begin.shape.size() == 2 && end.shape.size() == 2 && begin.shape[1] == end.shape[1]);
  const int64_t floats = end.offset + end.numel() - begin.offset;
  return view(begin.offset, {floats / begin.shape[1], begin.shape[1]});
}

std::span<float> ParameterStore::values_of(const Parameter& p) const {
  return values().subspan(static_cast<size_t>(p.offset), static_cast<size_t>(p.numel()));
}

void ParameterStore::zero_gradients() const {
  set_zero(gradients());
}

Tensor ParameterStore::view(int64_t offset, std::vector<int64_t> shape) const {
  float* grad = gradients_.defined() ? gradients_.f32() + offset : nullptr;
  return Tensor::view(values_.f32() + offset, std::move(shape), grad);
}

}  // namespace evo
