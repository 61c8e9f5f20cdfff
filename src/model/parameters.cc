#include "model/parameters.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

#include "base/checked.h"

namespace evo::model {

int64_t Parameter::numel() const {
  int64_t total = 1;
  for (int64_t extent : shape) total = checked_mul(total, extent, name);
  return total;
}

void ParameterStore::declare(Parameter parameter) {
  EVO_CHECK(index_.emplace(parameter.name, parameters_.size()).second);
  parameter.offset = size_;
  parameters_.push_back(std::move(parameter));
  size_ = checked_add(size_, parameters_.back().numel(), "number of parameters");
}

void ParameterStore::allocate(bool gradients) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t array = (size_ * sizeof(float) + page - 1) / page * page;
  const size_t bytes = gradients ? 2 * array : array;
  // Of a model that is packed weight by weight little is ever written: it may be larger than
  // memory.
  const int reserved = gradients ? 0 : MAP_NORESERVE;
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | reserved, -1, 0);
  if (memory == MAP_FAILED) {
    fail("out of memory: use a smaller model; the weights of this one take {:.2f} GB",
         1e-9 * static_cast<double>(bytes));
  }
  memory_ = std::shared_ptr<void>(memory, [bytes](void* at) { munmap(at, bytes); });
  values_ = tensor::Tensor::view(static_cast<float*>(memory), {size_});
  if (gradients) {
    // Of a frozen part nobody writes the gradients, and so they take no memory.
    void* const behind = static_cast<std::byte*>(memory) + array;
    gradients_ = tensor::Tensor::view(static_cast<float*>(behind), {size_});
  }
}

void ParameterStore::release(const tensor::Tensor& tensor) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(tensor.f32());
  const uintptr_t begin = (first + page - 1) / page * page;
  const uintptr_t end =
      (first + static_cast<uintptr_t>(tensor.numel()) * sizeof(float)) / page * page;
  if (begin >= end) return;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  mprotect(reinterpret_cast<void*>(begin), end - begin, PROT_NONE);
}

const Parameter& ParameterStore::find(const std::string& name) const {
  const auto found = index_.find(name);
  EVO_CHECK(found != index_.end());
  return parameters_[found->second];
}

tensor::Tensor ParameterStore::tensor(const std::string& name) const {
  const Parameter& p = find(name);
  return view(p.offset, p.shape);
}

tensor::Tensor ParameterStore::fused(const std::string& first, const std::string& last) const {
  const Parameter& begin = find(first);
  const Parameter& end = find(last);
  const bool vectors = begin.shape.size() == 1 && end.shape.size() == 1;
  const int64_t floats = end.offset + end.numel() - begin.offset;
  if (vectors) return view(begin.offset, {floats});
  EVO_CHECK(begin.shape.size() == 2 && end.shape.size() == 2 && begin.shape[1] == end.shape[1]);
  return view(begin.offset, {floats / begin.shape[1], begin.shape[1]});
}

std::span<float> ParameterStore::values_of(const Parameter& p) const {
  return values().subspan(p.offset, p.numel());
}

void ParameterStore::zero_gradients() const {
  tensor::set_zero(gradients());
}

tensor::Tensor ParameterStore::view(int64_t offset, std::vector<int64_t> shape) const {
  float* grad = gradients_.defined() ? gradients_.f32() + offset : nullptr;
  return tensor::Tensor::view(values_.f32() + offset, std::move(shape), grad);
}

}  // namespace evo::model
