// Tensor: a handle on a row-major array with a gradient slot.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"

namespace evo::tensor {

enum class DType { kF32, kBF16, kI32 };
[[nodiscard]] int64_t dtype_size(DType dtype);
[[nodiscard]] const char* dtype_name(DType dtype);

/// Copies of a Tensor share one array (like shared_ptr). Arrays are 64-byte aligned and come from
/// a pool: an array whose last handle goes away is reused by the next tensor of that size, which
/// is what keeps a training step free of system allocations.
class Tensor {
 public:
  Tensor() = default;

  static Tensor empty(std::vector<int64_t> shape, DType dtype = DType::kF32);
  static Tensor zeros(std::vector<int64_t> shape, DType dtype = DType::kF32);
  /// Non-owning: `data` must outlive every handle. `grad` may be null (then no gradient is kept).
  static Tensor view(float* data, std::vector<int64_t> shape, float* grad = nullptr);

  [[nodiscard]] bool defined() const { return impl_ != nullptr; }
  [[nodiscard]] DType dtype() const { return impl_->dtype; }
  [[nodiscard]] const std::vector<int64_t>& shape() const { return impl_->shape; }
  [[nodiscard]] int64_t numel() const { return impl_->numel; }
  /// First dimension; product of the others. A vector [n] has n rows of 1 column.
  [[nodiscard]] int64_t rows() const { return impl_->shape.empty() ? 1 : impl_->shape[0]; }
  [[nodiscard]] int64_t cols() const { return rows() == 0 ? 0 : impl_->numel / rows(); }

  [[nodiscard]] float* f32() const;
  [[nodiscard]] uint16_t* bf16() const;
  [[nodiscard]] int32_t* i32() const;
  [[nodiscard]] std::span<float> values() const { return {f32(), static_cast<size_t>(numel())}; }
  [[nodiscard]] float* row(int64_t r) const { return f32() + r * cols(); }

  /// Gradients. A tensor made by an op of a recording tape wants one; a parameter view has a fixed
  /// one; a detached tensor has none. grad() allocates (zeroed) on first use.
  [[nodiscard]] bool wants_grad() const { return impl_ && impl_->wants_grad; }
  void set_wants_grad(bool wants) { impl_->wants_grad = wants; }
  [[nodiscard]] bool has_grad() const { return impl_ && impl_->grad != nullptr; }
  [[nodiscard]] Tensor grad() const;
  /// The gradient without zeroing it, and whether it is new: a first writer may overwrite.
  [[nodiscard]] Tensor grad_for_write(bool& fresh) const;

  /// The same array without a gradient.
  [[nodiscard]] Tensor detach() const;

  /// Gives the array back: until take() gives it `from`'s, this tensor is without numbers. One made
  /// by detach() before keeps the array.
  void release() const;
  void take(const Tensor& from) const;
  /// This tensor's gradient becomes `of`'s, whose own must no longer be needed.
  void take_grad(const Tensor& of) const;

 private:
  friend class GradientWatch;
  struct Impl {
    DType dtype = DType::kF32;
    std::vector<int64_t> shape;
    int64_t numel = 0;
    void* data = nullptr;
    std::shared_ptr<void> storage;  // owns `data` unless this is a view
    bool wants_grad = false;
    std::shared_ptr<Impl> grad;
  };
  explicit Tensor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

/// On all threads if there are many.
void set_zero(std::span<float> values);

/// 64-byte aligned pooled bytes, for scratch space inside ops.
std::shared_ptr<void> pooled_bytes(size_t bytes);

struct PoolStats {
  size_t in_use_bytes = 0;  ///< handed out now
  size_t peak_bytes = 0;    ///< largest in_use_bytes so far
  size_t reserved_bytes = 0;
};
[[nodiscard]] PoolStats pool_stats();

/// Bytes of memory that the machine has.
[[nodiscard]] size_t physical_memory();
/// Gives unused arrays back to the system.
void trim_pool();

}  // namespace evo::tensor
