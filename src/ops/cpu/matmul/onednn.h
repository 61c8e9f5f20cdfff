// A matrix product as a oneDNN primitive. For the .cc files of this layer only: other headers stay
// free of oneDNN's.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <cstdint>

namespace evo::onednn {

using Layout = dnnl::memory::desc;
using DataType = dnnl::memory::data_type;

/// [rows, cols] with the given strides, in elements.
Layout strided(int64_t rows, int64_t cols, DataType type, int64_t row_stride, int64_t col_stride);

/// dst = src weights, or += if `accumulate`, on the thread that calls run().
/// Making one takes milliseconds; running one is safe from several threads at once.
class Product {
 public:
  Product(const Layout& src, const Layout& weights, const Layout& dst, bool accumulate);

  void run(const void* src, const void* weights, void* dst) const;

  /// The layout of the weights: what oneDNN picked if the constructor was given format_tag::any.
  [[nodiscard]] Layout weights_layout() const { return description_.weights_desc(); }
  /// oneDNN's name of the implementation, for example "brg:avx512_core".
  [[nodiscard]] const char* implementation() const { return description_.impl_info_str(); }

 private:
  dnnl::matmul::primitive_desc description_;
  dnnl::matmul primitive_;
  Layout src_, weights_, dst_, scratch_;
};

/// Copies an array from one layout to another.
void reorder(const Layout& from_layout, const void* from, const Layout& to_layout, void* to);

}  // namespace evo::onednn
