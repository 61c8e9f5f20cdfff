#include "tensor/tensor.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "base/checked.h"
#include "base/threads/parallel.h"
#include "tensor/gradient_watch.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, size) ((void)(data), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(data, size) ((void)(data), (void)(size))
#endif

namespace evo::tensor {
namespace {

constexpr size_t kAlignment = 64;

/// Free arrays by size class. The address sanitizer is told which bytes nobody may touch, as to it
/// a free array is allocated. Guarded by a mutex: tensors are made by one thread at a time in
/// training, but servers and tests run several engines in one process.
class Pool {
 public:
  static Pool& instance() {
    static auto* const pool = new Pool;  // never destroyed: handles may outlive static objects
    return *pool;
  }

  std::shared_ptr<void> take(size_t bytes) {
    const size_t size = size_class(bytes);
    void* data = take_free(size);
    if (data == nullptr) data = allocate(size);
    ASAN_POISON_MEMORY_REGION(data, size);
    ASAN_UNPOISON_MEMORY_REGION(data, bytes);
    return {data, [this, size](void* p) { give_back(p, size); }};
  }

  void trim() {
    const std::lock_guard lock(mutex_);
    for (auto& [size, list] : free_) {
      for (void* data : list) {
        ASAN_UNPOISON_MEMORY_REGION(data, size);
        std::free(data);
        stats_.reserved_bytes -= size;
      }
      list.clear();
    }
  }

  PoolStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  /// Eight classes per power of two: at most 12.5% is wasted, and nearly equal sizes share arrays.
  static size_t size_class(size_t bytes) {
    const size_t floor = std::bit_floor(std::max(bytes, kAlignment));
    const size_t step = std::max(floor / 8, kAlignment);
    return (std::max(bytes, kAlignment) + step - 1) / step * step;
  }

  /// An unused array of exactly this size class, or null.
  void* take_free(size_t size) {
    const std::lock_guard lock(mutex_);
    auto& free_list = free_[size];
    if (free_list.empty()) return nullptr;
    void* data = free_list.back();
    free_list.pop_back();
    count_as_used(size);
    return data;
  }

  /// Large arrays begin with a large page and ask for more of them: products and sums over rows
  /// that are far apart otherwise wait for the translation of addresses.
  void* allocate(size_t size) {
    constexpr size_t kLargePage = 2 << 20;
    const bool large = size >= kLargePage;
    void* data = nullptr;
    if (posix_memalign(&data, large ? kLargePage : kAlignment, size) != 0) throw std::bad_alloc();
    if (large) madvise(data, size, MADV_HUGEPAGE);  // only a wish
    const std::lock_guard lock(mutex_);
    stats_.reserved_bytes += size;
    count_as_used(size);
    return data;
  }

  void count_as_used(size_t size) {
    stats_.in_use_bytes += size;
    stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.in_use_bytes);
  }

  void give_back(void* data, size_t size) {
    ASAN_POISON_MEMORY_REGION(data, size);
    const std::lock_guard lock(mutex_);
    free_[size].push_back(data);
    stats_.in_use_bytes -= size;
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  PoolStats stats_;
};

int64_t product(const std::vector<int64_t>& shape) {
  int64_t total = 1;
  for (int64_t extent : shape) {
    EVO_CHECK(extent >= 0);
    total = checked_mul(total, extent, "tensor shape");
  }
  return total;
}

}  // namespace

int64_t dtype_size(DType dtype) {
  return dtype == DType::kBF16 ? 2 : 4;
}

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kI32:
      return "I32";
  }
  return "?";
}

Tensor Tensor::empty(std::vector<int64_t> shape, DType dtype) {
  auto impl = std::make_shared<Impl>();
  impl->dtype = dtype;
  impl->numel = product(shape);
  impl->shape = std::move(shape);
  impl->storage = Pool::instance().take(
      static_cast<size_t>(checked_mul(impl->numel, dtype_size(dtype), "tensor bytes")));
  impl->data = impl->storage.get();
  return Tensor(std::move(impl));
}

Tensor Tensor::zeros(std::vector<int64_t> shape, DType dtype) {
  Tensor made = empty(std::move(shape), dtype);
  if (dtype == DType::kF32) {
    set_zero(made.values());
  } else {
    std::memset(made.impl_->data, 0, made.numel() * dtype_size(dtype));
  }
  return made;
}

Tensor Tensor::view(float* data, std::vector<int64_t> shape, float* grad) {
  auto impl = std::make_shared<Impl>();
  impl->numel = product(shape);
  impl->shape = shape;
  impl->data = data;
  Tensor made(impl);
  if (grad != nullptr) {
    impl->wants_grad = true;
    impl->grad = view(grad, std::move(shape)).impl_;
    GradientWatch::list(made);
  }
  return made;
}

float* Tensor::f32() const {
  EVO_CHECK(impl_ && impl_->dtype == DType::kF32);
  EVO_CHECK(impl_->data != nullptr || impl_->numel == 0);  // released
  return static_cast<float*>(impl_->data);
}

uint16_t* Tensor::bf16() const {
  EVO_CHECK(impl_ && impl_->dtype == DType::kBF16);
  return static_cast<uint16_t*>(impl_->data);
}

int32_t* Tensor::i32() const {
  EVO_CHECK(impl_ && impl_->dtype == DType::kI32);
  return static_cast<int32_t*>(impl_->data);
}

Tensor Tensor::grad() const {
  bool fresh = false;
  Tensor made = grad_for_write(fresh);
  if (fresh) set_zero(made.values());
  return made;
}

Tensor Tensor::grad_for_write(bool& fresh) const {
  EVO_CHECK(wants_grad());
  fresh = impl_->grad == nullptr;
  if (fresh) impl_->grad = empty(impl_->shape).impl_;
  return Tensor(impl_->grad);
}

Tensor Tensor::detach() const {
  auto impl = std::make_shared<Impl>(*impl_);
  impl->wants_grad = false;
  impl->grad = nullptr;
  return Tensor(std::move(impl));
}

void Tensor::release() const {
  EVO_CHECK(impl_->storage != nullptr);
  impl_->storage = nullptr;
  impl_->data = nullptr;
}

void Tensor::take(const Tensor& from) const {
  EVO_CHECK(from.shape() == shape() && from.dtype() == dtype() && from.impl_->storage != nullptr);
  impl_->storage = from.impl_->storage;
  impl_->data = from.impl_->data;
}

void Tensor::take_grad(const Tensor& of) const {
  EVO_CHECK(wants_grad() && !has_grad() && of.shape() == shape());
  impl_->grad = std::exchange(of.impl_->grad, nullptr);
}

void set_zero(std::span<float> values) {
  constexpr int64_t kGrain = 1 << 16;
  parallel_for(std::ssize(values), kGrain, [&](int64_t begin, int64_t end) {
    std::memset(values.data() + begin, 0, (end - begin) * sizeof(float));
  });
}

std::shared_ptr<void> pooled_bytes(size_t bytes) {
  return Pool::instance().take(bytes);
}
PoolStats pool_stats() {
  return Pool::instance().stats();
}
void trim_pool() {
  Pool::instance().trim();
  // What is free below the end of a heap stays the process's until it is asked for.
  malloc_trim(0);
}
size_t physical_memory() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace evo::tensor
