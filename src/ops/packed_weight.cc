#include <cstring>
#include <utility>

#include "base/parallel.h"
#include "ops/bf16.h"
#include "ops/bounded_cache.h"
#include "ops/int8_product.h"
#include "ops/matmul.h"
#include "ops/onednn.h"
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
  bool gives_rows = false;
};

namespace {

using onednn::DataType;
using onednn::Layout;
using onednn::Product;

/// What bf16 weights of one shape share, where the CPU multiplies bf16: layout and primitives.
class PackedShape {
 public:
  PackedShape(int64_t out, int64_t in) : out_(out), in_(in) {
    // The layout must not depend on the number of rows: it is picked for a decoder's usual count.
    const int64_t usual = 16;
    const Product product(rows_layout(usual), {{in, out}, kType, dnnl::memory::format_tag::any},
                          result_layout(usual), false);
    weights_ = product.weights_layout();
    row_invariant_ = std::strncmp(product.implementation(), "brg", 3) == 0;
  }

  /// oneDNN's "brgemm" kernels give a row the same bits in whatever company (packed_weight_test.cc
  /// watches it); its "gemm" kernels treat one row differently from two and so on.
  [[nodiscard]] bool row_invariant() const { return row_invariant_; }
  [[nodiscard]] const Layout& weights() const { return weights_; }

  std::shared_ptr<const Product> product(int64_t rows) const {
    return products_.get({rows, threads()}, [&] {
      return std::make_shared<const Product>(rows_layout(rows), weights_, result_layout(rows),
                                             false);
    });
  }

 private:
  [[nodiscard]] Layout rows_layout(int64_t rows) const {
    return onednn::strided(rows, in_, kType, in_, 1);
  }
  [[nodiscard]] Layout result_layout(int64_t rows) const {
    return onednn::strided(rows, out_, DataType::f32, out_, 1);
  }

  static constexpr DataType kType = DataType::bf16;
  int64_t out_, in_;
  Layout weights_;
  bool row_invariant_ = false;
  mutable BoundedCache<std::pair<int64_t, int>, Product> products_{256};  // by rows and threads
};

std::shared_ptr<const PackedShape> packed_shape(int64_t out, int64_t in) {
  using Key = std::pair<int64_t, int64_t>;
  static auto* const shapes = new BoundedCache<Key, PackedShape>(256);
  return shapes->get({out, in}, [&] { return std::make_shared<const PackedShape>(out, in); });
}

std::shared_ptr<void> copy_as_bf16(const float* from, int64_t count) {
  std::shared_ptr<void> copy = pooled_bytes(static_cast<size_t>(count) * sizeof(uint16_t));
  parallel_for(count, 65536, [&](int64_t begin, int64_t end) {
    convert_to_bf16(from + begin, end - begin, static_cast<uint16_t*>(copy.get()) + begin);
  });
  return copy;
}

std::shared_ptr<void> copy_rounded(const float* from, int64_t count) {
  std::shared_ptr<void> copy = pooled_bytes(static_cast<size_t>(count) * sizeof(float));
  parallel_for(count, 65536, [&](int64_t begin, int64_t end) {
    round_to_bf16(from + begin, end - begin, static_cast<float*>(copy.get()) + begin);
  });
  return copy;
}

// The subclasses take their base as a parameter because PackedWeight::Impl is private.

/// bf16 in a layout of oneDNN's, multiplied by oneDNN.
template <class Impl>
struct OnednnWeight : Impl {
  OnednnWeight(const uint16_t* weight, int64_t out_size, int64_t in_size,
               std::shared_ptr<const PackedShape> packed_as)
      : Impl(out_size, in_size), shape(std::move(packed_as)) {
    Impl::bytes = shape->weights().get_size();
    data = weight_bytes(Impl::bytes);
    onednn::reorder(onednn::strided(in_size, out_size, DataType::bf16, 1, in_size), weight,
                    shape->weights(), data.get());
  }

  void multiply(const float* x, int64_t rows, float* y) const override {
    shape->product(rows)->run(copy_as_bf16(x, rows * Impl::in).get(), data.get(), y);
  }

  void row(int64_t /*index*/, float* /*values*/) const override { EVO_CHECK(Impl::gives_rows); }

  std::shared_ptr<const PackedShape> shape;
  std::shared_ptr<void> data;
};

/// f32 or bf16 (uint16_t) in row_product's layout.
template <class Impl, class Type>
struct BlockWeight : Impl {
  BlockWeight(const Type* weight, int64_t out_size, int64_t in_size) : Impl(out_size, in_size) {
    Impl::bytes = static_cast<size_t>(row_product_size(out_size, in_size)) * sizeof(Type);
    data = weight_bytes(Impl::bytes);
    pack_row_product(weight, out_size, in_size, packed());
  }

  void multiply(const float* x, int64_t rows, float* y) const override {
    if constexpr (sizeof(Type) == sizeof(float)) {
      row_product(x, rows, packed(), Impl::out, Impl::in, y);
    } else {
      const std::shared_ptr<void> rounded = copy_rounded(x, rows * Impl::in);
      row_product(static_cast<const float*>(rounded.get()), rows, packed(), Impl::out, Impl::in, y);
    }
  }

  void row(int64_t index, float* values) const override {
    unpack_row(packed(), Impl::in, index, values);
  }

  [[nodiscard]] Type* packed() const { return static_cast<Type*>(data.get()); }
  std::shared_ptr<void> data;
};

template <class Impl>
struct QuantizedWeight : Impl {
  QuantizedWeight(const float* weight, int64_t out_size, int64_t in_size)
      : Impl(out_size, in_size), values(weight, out_size, in_size) {
    Impl::bytes = values.bytes();
  }

  void multiply(const float* x, int64_t rows, float* y) const override {
    values.multiply(x, rows, y);
  }

  void row(int64_t index, float* to) const override { values.row(index, to); }

  Int8Weight values;
};

template <class Impl>
std::unique_ptr<Impl> pack_bf16(const uint16_t* weight, int64_t out, int64_t in, RowAccess access) {
  if (native_bf16() && access == RowAccess::kNo) {
    auto shape = packed_shape(out, in);
    if (shape->row_invariant()) {
      return std::make_unique<OnednnWeight<Impl>>(weight, out, in, std::move(shape));
    }
  }
  return std::make_unique<BlockWeight<Impl, uint16_t>>(weight, out, in);
}

}  // namespace

PackedWeight::PackedWeight(const float* weight, int64_t out, int64_t in, Precision precision,
                           RowAccess access) {
  EVO_CHECK(out > 0 && in > 0);
  switch (precision) {
    case Precision::kF32:
      impl_ = std::make_unique<BlockWeight<Impl, float>>(weight, out, in);
      break;
    case Precision::kBF16:
      impl_ = pack_bf16<Impl>(static_cast<const uint16_t*>(copy_as_bf16(weight, out * in).get()),
                              out, in, access);
      break;
    case Precision::kInt8:
      impl_ = std::make_unique<QuantizedWeight<Impl>>(weight, out, in);
      break;
  }
  impl_->gives_rows = access == RowAccess::kYes;
}

PackedWeight::PackedWeight(const uint16_t* weight, int64_t out, int64_t in, RowAccess access) {
  EVO_CHECK(out > 0 && in > 0);
  impl_ = pack_bf16<Impl>(weight, out, in, access);
  impl_->gives_rows = access == RowAccess::kYes;
}

PackedWeight::~PackedWeight() = default;

void PackedWeight::multiply(const float* x, int64_t rows, float* y) const {
  if (rows > 0) impl_->multiply(x, rows, y);
}

void PackedWeight::row(int64_t index, float* values) const {
  EVO_CHECK(impl_->gives_rows && 0 <= index && index < out());
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
