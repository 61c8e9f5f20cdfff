#include "base/threads/parallel.h"
#include "ops/bf16.h"
#include "ops/bf16_product.h"
#include "ops/int8_product.h"
#include "ops/matmul.h"
#include "ops/row_product.h"
#include "ops/weight_memory.h"

namespace evo {

struct PackedWeight::Impl {
  Impl(int64_t out_size, int64_t in_size) : out(out_size), in(in_size) {}
  virtual ~Impl() = default;
  virtual void multiply(const float* x, int64_t rows, float* y) const = 0;
  virtual void row(int64_t index, float* values) const = 0;

  int64_t out, in;
  size_t bytes = 0;
};

namespace {

std::shared_ptr<void> copy_as_bf16(const float* from, int64_t count) {
  std::shared_ptr<void> copy = pooled_bytes(static_cast<size_t>(count) * sizeof(uint16_t));
  parallel_for(count, 65536, [&](int64_t begin, int64_t end) {
    convert_to_bf16(from + begin, end - begin, static_cast<uint16_t*>(copy.get()) + begin);
  });
  return copy;
}

// The subclasses take their base as a parameter because PackedWeight::Impl is private.

/// In row_product's layout.
template <class Impl>
struct FloatWeight : Impl {
  FloatWeight(const float* weight, int64_t out_size, int64_t in_size) : Impl(out_size, in_size) {
    Impl::bytes = static_cast<size_t>(row_product_size(out_size, in_size)) * sizeof(float);
    data = weight_bytes(Impl::bytes);
    pack_row_product(weight, out_size, in_size, packed());
  }

  void multiply(const float* x, int64_t rows, float* y) const override {
    row_product(x, rows, packed(), Impl::out, Impl::in, y);
  }

  void row(int64_t index, float* values) const override {
    unpack_row(packed(), Impl::in, index, values);
  }

  [[nodiscard]] float* packed() const { return static_cast<float*>(data.get()); }
  std::shared_ptr<void> data;
};

/// BF16Weight or Int8Weight.
template <class Impl, class Values>
struct NarrowWeight : Impl {
  template <class From>
  NarrowWeight(const From* weight, int64_t out_size, int64_t in_size)
      : Impl(out_size, in_size), values(weight, out_size, in_size) {
    Impl::bytes = values.bytes();
  }

  void multiply(const float* x, int64_t rows, float* y) const override {
    values.multiply(x, rows, y);
  }

  void row(int64_t index, float* to) const override { values.row(index, to); }

  Values values;
};

}  // namespace

PackedWeight::PackedWeight(const float* weight, int64_t out, int64_t in, Precision precision) {
  EVO_CHECK(out > 0 && in > 0);
  switch (precision) {
    case Precision::kF32:
      impl_ = std::make_unique<FloatWeight<Impl>>(weight, out, in);
      break;
    case Precision::kBF16:
      impl_ = std::make_unique<NarrowWeight<Impl, BF16Weight>>(
          static_cast<const uint16_t*>(copy_as_bf16(weight, out * in).get()), out, in);
      break;
    case Precision::kInt8:
      impl_ = std::make_unique<NarrowWeight<Impl, Int8Weight>>(weight, out, in);
      break;
  }
}

PackedWeight::PackedWeight(const uint16_t* weight, int64_t out, int64_t in) {
  EVO_CHECK(out > 0 && in > 0);
  impl_ = std::make_unique<NarrowWeight<Impl, BF16Weight>>(weight, out, in);
}

PackedWeight::~PackedWeight() = default;

void PackedWeight::multiply(const float* x, int64_t rows, float* y) const {
  if (rows > 0) impl_->multiply(x, rows, y);
}

void PackedWeight::row(int64_t index, float* values) const {
  EVO_CHECK(0 <= index && index < out());
  impl_->row(index, values);
}

int64_t PackedWeight::out() const {
  return impl_->out;
}
int64_t PackedWeight::in() const {
  return impl_->in;
}
size_t PackedWeight::bytes() const {
  return impl_->bytes;
}

}  // namespace evo
