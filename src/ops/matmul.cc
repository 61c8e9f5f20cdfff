#include "ops/matmul.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "base/threads/parallel.h"
#include "ops/bf16.h"
#include "ops/bounded_cache.h"
#include "ops/isa.h"
#include "ops/onednn.h"

namespace evo {
namespace {

/// m, n, k, strides of a, b and out, flags: what a primitive depends on.
using ProductKey = std::array<int64_t, 10>;

BoundedCache<ProductKey, onednn::Product>& product_cache() {
  static auto* const cache = new BoundedCache<ProductKey, onednn::Product>(512);
  return *cache;
}

/// A matrix as oneDNN reads it; `data` is f32 or bf16.
struct Operand {
  const std::byte* data;
  int64_t rows, cols, row_stride, col_stride;
  onednn::DataType type;
  std::shared_ptr<void> storage;  // owns `data` if it is a rounded copy

  [[nodiscard]] const std::byte* at(int64_t row, int64_t col) const {
    const int64_t size = type == onednn::DataType::bf16 ? 2 : 4;
    return data + (row * row_stride + col * col_stride) * size;
  }
};

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
/// up. They depend on the product's size alone: so do the bits, whatever number of threads there
/// is.
Bands bands_of(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kTile = 64, kUsual = 4, kWidest = 512;
  Bands bands;
  bands.of_rows = m >= n;
  const int64_t length = bands.of_rows ? m : n;
  bands.width = length;
  if (m * n < kSerialProduct / k + 1) return bands;
  const int64_t tiles = (length + kUsual * kTile - 1) / (kUsual * kTile);
  bands.width = std::min(tiles * kTile, kWidest);
  bands.count = (length + bands.width - 1) / bands.width;
  return bands;
}

/// out = a b or out += a b on one thread.
void run_product(const Operand& a, const Operand& b, const Output& out) {
  const ProductKey key = {
      a.rows,       b.cols,       a.cols,     a.row_stride,   a.col_stride,
      b.row_stride, b.col_stride, out.stride, out.accumulate, a.type == onednn::DataType::bf16};
  const auto product = product_cache().get(key, [&] {
    return std::make_shared<const onednn::Product>(
        onednn::strided(a.rows, a.cols, a.type, a.row_stride, a.col_stride),
        onednn::strided(b.rows, b.cols, b.type, b.row_stride, b.col_stride),
        onednn::strided(a.rows, b.cols, onednn::DataType::f32, out.stride, 1), out.accumulate);
  });
  product->run(a.data, b.data, out.data);
}

void run_in_bands(const Operand& a, const Operand& b, const Output& out) {
  const Bands bands = bands_of(a.rows, b.cols, a.cols);
  parallel_items(bands.count, [&](int64_t i) {
    const int64_t begin = i * bands.width;
    Operand left = a, right = b;
    Output to = out;
    if (bands.of_rows) {
      left.data = a.at(begin, 0);
      left.rows = std::min(bands.width, a.rows - begin);
      to.data += begin * out.stride;
    } else {
      right.data = b.at(0, begin);
      right.cols = std::min(bands.width, b.cols - begin);
      to.data += begin;
    }
    run_product(left, right, to);
  });
}

/// A dense copy of the same orientation, rounded to bf16: as bf16 where the CPU multiplies that, as
/// f32 elsewhere. A product of two bf16 numbers is exact in f32, so both mean the same.
Operand rounded(const MatrixView& view, bool native) {
  const bool by_rows = view.col_stride == 1;
  const int64_t lines = by_rows ? view.rows : view.cols;
  const int64_t length = by_rows ? view.cols : view.rows;
  const int64_t stride = by_rows ? view.row_stride : view.col_stride;
  auto storage = pooled_bytes(static_cast<size_t>(lines * length * (native ? 2 : 4)));
  parallel_for(lines, std::max<int64_t>(1, 65536 / length), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* from = view.data + i * stride;
      if (native) {
        convert_to_bf16(from, length, static_cast<uint16_t*>(storage.get()) + i * length);
      } else {
        round_to_bf16(from, length, static_cast<float*>(storage.get()) + i * length);
      }
    }
  });
  return {static_cast<const std::byte*>(storage.get()),
          view.rows,
          view.cols,
          by_rows ? length : 1,
          by_rows ? 1 : length,
          native ? onednn::DataType::bf16 : onednn::DataType::f32,
          storage};
}

Operand as_it_is(const MatrixView& view) {
  return {reinterpret_cast<const std::byte*>(view.data),
          view.rows,
          view.cols,
          view.row_stride,
          view.col_stride,
          onednn::DataType::f32,
          nullptr};
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

void matmul(const MatrixView& a, const MatrixView& b, float* out, int64_t out_stride,
            bool accumulate, Precision precision) {
  EVO_CHECK(a.cols == b.rows && precision != Precision::kInt8);
  EVO_CHECK((a.row_stride == 1 || a.col_stride == 1) && (b.row_stride == 1 || b.col_stride == 1));
  if (a.rows == 0 || b.cols == 0) return;
  EVO_CHECK(out_stride >= b.cols);
  if (a.cols == 0) {
    if (!accumulate) fill_zero(out, a.rows, b.cols, out_stride);
    return;
  }
  const Output output = {out, out_stride, accumulate};
  if (precision == Precision::kBF16) {
    const bool native = native_bf16();
    run_in_bands(rounded(a, native), rounded(b, native), output);
  } else {
    run_in_bands(as_it_is(a), as_it_is(b), output);
  }
}

bool native_bf16() {
  return isa() == Isa::kAmx || (isa() == Isa::kAvx512BF16 && !made_by_intel());
}

Precision best_precision() {
  return native_bf16() ? Precision::kBF16 : Precision::kF32;
}

double measure_matmul_peak(Precision precision, double seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kSize = 1536;
  const Tensor a = Tensor::zeros({kSize, kSize});
  const Tensor b = Tensor::zeros({kSize, kSize});
  const Tensor out = Tensor::empty({kSize, kSize});
  std::optional<PackedWeight> packed;
  if (precision == Precision::kInt8) packed.emplace(b.f32(), kSize, kSize, precision);
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

}  // namespace evo
