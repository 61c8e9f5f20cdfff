#include <cstring>
#include <tuple>
#include <utility>

#include "base/parallel.h"
#include "ops/bf16.h"
#include "ops/bounded_cache.h"
#include "ops/matmul.h"
#include "ops/onednn.h"
#include "ops/row_product.h"

namespace evo {

struct PackedWeight::Impl {
  Impl(int64_t out_size, int64_t in_size) : out(out_size), in(in_size) {}
  virtual ~Impl() = default;
  virtual void multiply(const float* x, int64_t rows, float* y) const = 0;

  void allocate(size_t size) {
    bytes = size;
    data = pooled_bytes(size);
  }

  int64_t out, in;
  size_t bytes = 0;
  std::shared_ptr<void> data;  // the reordered weight
};

namespace {

using onednn::DataType;
using onednn::Layout;
using onednn::Product;

/// What weights of one shape share: the layout and the primitives.
class PackedShape {
 public:
  PackedShape(int64_t out, int64_t in, DataType type) : out_(out), in_(in), type_(type) {
    // The layout must not depend on the number of rows: it is picked for a decoder's usual count.
    const int64_t usual = 16;
    const Product product(rows_layout(usual), {{in, out}, type, dnnl::memory::format_tag::any},
                          result_layout(usual), false);
    weights_ = product.weights_layout();
    row_invariant_ = std::strncmp(product.implementation(), "brg", 3) == 0;
  }

  /// oneDNN's "brgemm" kernels give a row the same bits in whatever company (packed_weight_test.cc
  /// watches it); its "gemm" kernels, which it uses without AVX-512, treat one row differently from
  /// two and so on.
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
    return onednn::strided(rows, in_, type_, in_, 1);
  }
  [[nodiscard]] Layout result_layout(int64_t rows) const {
    return onednn::strided(rows, out_, DataType::f32, out_, 1);
  }

  int64_t out_, in_;
  DataType type_;
  Layout weights_;
  bool row_invariant_ = false;
  mutable BoundedCache<std::pair<int64_t, int>, Product> products_{256};  // by rows and threads
};

std::shared_ptr<const PackedShape> packed_shape(int64_t out, int64_t in, DataType type) {
  using Key = std::tuple<int64_t, int64_t, DataType>;
  static auto* const shapes = new BoundedCache<Key, PackedShape>(256);
  return shapes->get({out, in, type},
                     [&] { return std::make_shared<const PackedShape>(out, in, type); });
}

std::shared_ptr<void> copy_as_bf16(const float* from, int64_t count) {
  std::shared_ptr<void> copy = pooled_bytes(static_cast<size_t>(count) * sizeof(uint16_t));
  parallel_for(count, 65536, [&](int64_t begin, int64_t end) {
    convert_to_bf16(from + begin, end - begin, static_cast<uint16_t*>(copy.get()) + begin);
  });
  return copy;
}

// The subclasses take their base as a parameter because PackedWeight::Impl is private.

/// W in a layout of oneDNN's, multiplied by oneDNN.
template <class Impl>
struct OnednnWeight : Impl {
  OnednnWeight(const float* weight, int64_t out_size, int64_t in_size, DataType type,
               std::shared_ptr<const PackedShape> packed_as)
      : Impl(out_size, in_size), shape(std::move(packed_as)), bf16(type == DataType::bf16) {
    Impl::allocate(shape->weights().get_size());
    const auto rounded = bf16 ? copy_as_bf16(weight, out_size * in_size) : nullptr;
    onednn::reorder(onednn::strided(in_size, out_size, type, 1, in_size),
                    bf16 ? rounded.get() : weight, shape->weights(), Impl::data.get());
  }

  void multiply(const float* x, int64_t rows, float* y) const override {
    const auto rounded = bf16 ? copy_as_bf16(x, rows * Impl::in) : nullptr;
    shape->product(rows)->run(bf16 ? rounded.get() : x, Impl::data.get(), y);
  }

  std::shared_ptr<const PackedShape> shape;
  bool bf16;
};

/// W in row_product's layout, as float or bf16 (uint16_t).
template <class Impl, class Type>
struct BlockWeight : Impl {
  BlockWeight(const Type* weight, int64_t out_size, int64_t in_size) : Impl(out_size, in_size) {
    Impl::allocate(static_cast<size_t>(row_product_size(out_size, in_size)) * sizeof(Type));
    pack_row_product(weight, out_size, in_size, static_cast<Type*>(Impl::data.get()));
  }

  void multiply(const float* x, int64_t rows, float* y) const override {
    const auto* packed = static_cast<const Type*>(Impl::data.get());
    if constexpr (sizeof(Type) == sizeof(float)) {
      row_product(x, rows, packed, Impl::out, Impl::in, y);
    } else {
      const auto rounded = pooled_bytes(static_cast<size_t>(rows * Impl::in) * sizeof(float));
      round_to_bf16(x, rows * Impl::in, static_cast<float*>(rounded.get()));
      row_product(static_cast<const float*>(rounded.get()), rows, packed, Impl::out, Impl::in, y);
    }
  }
};

}  // namespace

PackedWeight::PackedWeight(const float* weight, int64_t out, int64_t in, Precision precision) {
  EVO_CHECK(out > 0 && in > 0);
  const bool bf16 = precision == Precision::kBF16;
  if (!bf16 || cpu_has_bf16()) {
    const DataType type = bf16 ? DataType::bf16 : DataType::f32;
    auto shape = packed_shape(out, in, type);
    if (shape->row_invariant()) {
      impl_ = std::make_unique<OnednnWeight<Impl>>(weight, out, in, type, std::move(shape));
      return;
    }
  }
  if (bf16) {
    const auto rounded = copy_as_bf16(weight, out * in);
    impl_ = std::make_unique<BlockWeight<Impl, uint16_t>>(
        static_cast<const uint16_t*>(rounded.get()), out, in);
  } else {
    impl_ = std::make_unique<BlockWeight<Impl, float>>(weight, out, in);
  }
}

PackedWeight::~PackedWeight() = default;

void PackedWeight::multiply(const float* x, int64_t rows, float* y) const {
  if (rows > 0) impl_->multiply(x, rows, y);
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
