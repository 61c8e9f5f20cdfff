#include "ops/cpu/matmul/matmul.h"
#include "ops/machine.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/threads/parallel.h"
#include "ops/cpu/formats/bf16/bf16.h"
#include "ops/cpu/matmul/bounded_cache.h"
#include "ops/cpu/matmul/onednn.h"
#include "ops/weight.h"

namespace evo::ops {
namespace {

/// m, n, k, strides of a, b and out, flags: what a primitive depends on.
using ProductKey = std::array<int64_t, 10>;

BoundedCache<ProductKey, onednn::Product>& product_cache() {
  static auto* const cache = new BoundedCache<ProductKey, onednn::Product>(512);
  return *cache;
}

struct Output {
  float* data;
  int64_t stride;
  bool accumulate;
};

/// The rows or the columns of a product in bands, each for one thread.
struct Bands {
  bool of_rows = true;
  int64_t width = 0, count = 1;
};

/// Multiply-adds for which it is not worth waking another thread: oneDNN does them in 10 to 50 us.
constexpr int64_t kSerialProduct = 1 << 21;

/// Bands of one width, so that they share a primitive, in whole cache lines and tiles: few enough
/// not to read the other matrix too often, and enough for several threads of which one may be held
/// up. They depend on the product's size and type alone: so do the bits, whatever number of threads
/// there is. oneDNN's bf16 products take bands of rows up to 1.9 times as fast as bands of columns,
/// until the rows are few (docs/log.md, 2026-11-30).
Bands bands_of(int64_t m, int64_t n, int64_t k, bool bf16) {
  constexpr int64_t kTile = 64, kUsual = 4, kWidest = 256, kFavour = 8;
  Bands bands;
  bands.of_rows = m * (bf16 ? kFavour : 1) >= n;
  const int64_t length = bands.of_rows ? m : n;
  bands.width = length;
  if (m * n < kSerialProduct / k + 1) return bands;
  const int64_t tiles = (length + kUsual * kTile - 1) / (kUsual * kTile);
  bands.width = std::min(tiles * kTile, kWidest);
  bands.count = (length + bands.width - 1) / bands.width;
  return bands;
}

onednn::DataType type_of(const MatmulOperand& operand) {
  return operand.stored_as_bf16() ? onednn::DataType::bf16 : onednn::DataType::f32;
}

/// out = a b or out += a b on one thread.
void run_product(const MatmulOperand& a, const MatmulOperand& b, const Output& out) {
  const ProductKey key = {a.rows(),       b.cols(),          a.cols(),       a.row_stride(),
                          a.col_stride(), b.row_stride(),    b.col_stride(), out.stride,
                          out.accumulate, a.stored_as_bf16()};
  const auto product = product_cache().get(key, [&] {
    return std::make_shared<const onednn::Product>(
        onednn::strided(a.rows(), a.cols(), type_of(a), a.row_stride(), a.col_stride()),
        onednn::strided(b.rows(), b.cols(), type_of(b), b.row_stride(), b.col_stride()),
        onednn::strided(a.rows(), b.cols(), onednn::DataType::f32, out.stride, 1), out.accumulate);
  });
  product->run(a.at(0, 0), b.at(0, 0), out.data);
}

void run_in_bands(const MatmulOperand& a, const MatmulOperand& b, const Output& out) {
  const Bands bands = bands_of(a.rows(), b.cols(), a.cols(), a.stored_as_bf16());
  parallel_items(bands.count, [&](int64_t i) {
    const int64_t begin = i * bands.width;
    if (bands.of_rows) {
      run_product(a.some_rows(begin, std::min(bands.width, a.rows() - begin)), b,
                  {out.data + begin * out.stride, out.stride, out.accumulate});
    } else {
      run_product(a, b.some_cols(begin, std::min(bands.width, b.cols() - begin)),
                  {out.data + begin, out.stride, out.accumulate});
    }
  });
}

bool made_by_intel() {
#if defined(__x86_64__)
  return __builtin_cpu_is("intel") != 0;
#else
  return false;
#endif
}

void fill_zero(float* out, int64_t rows, int64_t cols, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) std::fill_n(out + i * stride, cols, 0.0f);
}

}  // namespace

MatmulOperand::MatmulOperand(const MatrixView& view, tensor::Precision precision)
    : data_(reinterpret_cast<const std::byte*>(view.data)),
      rows_(view.rows),
      cols_(view.cols),
      row_stride_(view.row_stride),
      col_stride_(view.col_stride) {
  EVO_CHECK(can_train(precision) && (row_stride_ == 1 || col_stride_ == 1));
  if (precision == tensor::Precision::kBF16 && rows_ > 0 && cols_ > 0) keep_rounded(view);
}

/// A dense copy of the same orientation, rounded to bf16: as bf16 where the CPU multiplies that, as
/// f32 elsewhere. A product of two bf16 numbers is exact in f32, so both mean the same.
void MatmulOperand::keep_rounded(const MatrixView& view) {
  const bool by_rows = view.col_stride == 1;
  const int64_t lines = by_rows ? view.rows : view.cols;
  const int64_t length = by_rows ? view.cols : view.rows;
  const int64_t stride = by_rows ? view.row_stride : view.col_stride;
  stored_as_bf16_ = native_bf16();
  rounded_ = tensor::pooled_bytes(static_cast<size_t>(lines * length * (stored_as_bf16_ ? 2 : 4)));
  parallel_for(lines, std::max<int64_t>(1, 65536 / length), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = view.data + i * stride;
      if (stored_as_bf16_) {
        convert_to_bf16(from, length, static_cast<uint16_t*>(rounded_.get()) + i * length);
      } else {
        round_to_bf16(from, length, static_cast<float*>(rounded_.get()) + i * length);
      }
    }
  });
  data_ = static_cast<const std::byte*>(rounded_.get());
  row_stride_ = by_rows ? length : 1;
  col_stride_ = by_rows ? 1 : length;
}

MatmulOperand MatmulOperand::transposed() const {
  MatmulOperand operand = *this;
  std::swap(operand.rows_, operand.cols_);
  std::swap(operand.row_stride_, operand.col_stride_);
  return operand;
}

const std::byte* MatmulOperand::at(int64_t row, int64_t col) const {
  return data_ + (row * row_stride_ + col * col_stride_) * (stored_as_bf16_ ? 2 : 4);
}

MatmulOperand MatmulOperand::some_rows(int64_t begin, int64_t count) const {
  MatmulOperand operand = *this;
  operand.data_ = at(begin, 0);
  operand.rows_ = count;
  return operand;
}

MatmulOperand MatmulOperand::some_cols(int64_t begin, int64_t count) const {
  return transposed().some_rows(begin, count).transposed();
}

void matmul(const MatmulOperand& a, const MatmulOperand& b, float* out, int64_t out_stride,
            bool accumulate) {
  EVO_CHECK(a.cols() == b.rows());
  if (a.rows() == 0 || b.cols() == 0) return;
  EVO_CHECK(out_stride >= b.cols());
  if (a.cols() == 0) {
    if (!accumulate) fill_zero(out, a.rows(), b.cols(), out_stride);
    return;
  }
  EVO_CHECK(a.stored_as_bf16() == b.stored_as_bf16());
  run_in_bands(a, b, {out, out_stride, accumulate});
}

void matmul(const MatrixView& a, const MatrixView& b, float* out, int64_t out_stride,
            bool accumulate, tensor::Precision precision) {
  matmul(MatmulOperand(a, precision), MatmulOperand(b, precision), out, out_stride, accumulate);
}

bool native_bf16() {
  return isa() == Isa::kAmx || (isa() == Isa::kAvx512BF16 && !made_by_intel());
}

tensor::Precision best_precision() {
  return native_bf16() ? tensor::Precision::kBF16 : tensor::Precision::kF32;
}

double measure_matmul_peak(tensor::Precision precision, double seconds) {
  // Files have groups of many formats; their products take about as long as these.
  if (precision == tensor::Precision::kStored) precision = tensor::Precision::kQ8;
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kSize = 1536;
  const tensor::Tensor a = tensor::Tensor::zeros({kSize, kSize});
  const tensor::Tensor b = tensor::Tensor::zeros({kSize, kSize});
  const tensor::Tensor out = tensor::Tensor::empty({kSize, kSize});
  std::shared_ptr<const PackedWeight> packed;
  if (!can_train(precision)) packed = pack_weight(b.f32(), kSize, kSize, precision);
  const auto run = [&] {
    const auto start = Clock::now();
    if (packed) {
      packed->multiply(a.f32(), kSize, out.f32());
    } else {
      matmul(matrix(a.f32(), kSize, kSize), matrix(b.f32(), kSize, kSize).transposed(), out.f32(),
             kSize, false, precision);
    }
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  run();  // makes the primitive and touches the memory
  double best = run();
  for (const auto start = Clock::now();
       std::chrono::duration<double>(Clock::now() - start).count() < seconds;) {
    best = std::min(best, run());
  }
  return 2e-9 * kSize * kSize * kSize / best;
}

}  // namespace evo::ops
