#include "ops/matmul.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include "base/parallel.h"
#include "ops/bf16.h"
#include "ops/bounded_cache.h"
#include "ops/isa.h"
#include "ops/onednn.h"

namespace evo {
namespace {

/// m, n, k, strides of a, b and out, flags, threads: what a primitive depends on.
using ProductKey = std::array<int64_t, 11>;

BoundedCache<ProductKey, onednn::Product>& product_cache() {
  static auto* const cache = new BoundedCache<ProductKey, onednn::Product>(512);
  return *cache;
}

/// A matrix as oneDNN reads it; `data` is f32 or bf16.
struct Operand {
  const void* data;
  int64_t rows, cols, row_stride, col_stride;
  std::shared_ptr<void> storage;  // owns `data` if it is a rounded copy
};

void run_product(const Operand& a, const Operand& b, float* out, int64_t out_stride,
                 bool accumulate, onednn::DataType type) {
  const ProductKey key = {
      a.rows,       b.cols,       a.cols,     a.row_stride, a.col_stride,
      b.row_stride, b.col_stride, out_stride, accumulate,   type == onednn::DataType::bf16,
      threads()};
  const auto product = product_cache().get(key, [&] {
    return std::make_shared<const onednn::Product>(
        onednn::strided(a.rows, a.cols, type, a.row_stride, a.col_stride),
        onednn::strided(b.rows, b.cols, type, b.row_stride, b.col_stride),
        onednn::strided(a.rows, b.cols, onednn::DataType::f32, out_stride, 1), accumulate);
  });
  product->run(a.data, b.data, out);
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
  return {storage.get(), view.rows, view.cols, by_rows ? length : 1, by_rows ? 1 : length, storage};
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
  if (precision == Precision::kBF16) {
    const bool native = native_bf16();
    run_product(rounded(a, native), rounded(b, native), out, out_stride, accumulate,
                native ? onednn::DataType::bf16 : onednn::DataType::f32);
    return;
  }
  run_product({a.data, a.rows, a.cols, a.row_stride, a.col_stride, nullptr},
              {b.data, b.rows, b.cols, b.row_stride, b.col_stride, nullptr}, out, out_stride,
              accumulate, onednn::DataType::f32);
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
