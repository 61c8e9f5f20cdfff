// Matrix products of any two matrices: in bf16 with AMX by our own tiles, else by oneDNN (whose
// headers stay out of this one). Products with packed weights are in ops/cpu/formats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "tensor/tape.h"

namespace evo::ops {

/// A read-only matrix [rows, cols] in memory; element (i, j) is data[i * row_stride + j *
/// col_stride] and one of the two strides is 1.
struct MatrixView {
  const float* data = nullptr;
  int64_t rows = 0, cols = 0;
  int64_t row_stride = 0, col_stride = 1;

  [[nodiscard]] MatrixView transposed() const { return {data, cols, rows, col_stride, row_stride}; }
};

/// A dense row-major [rows, cols] array.
inline MatrixView matrix(const float* data, int64_t rows, int64_t cols) {
  return {data, rows, cols, cols, 1};
}

class PackedSide;
struct TileSource;

/// A matrix as products of a precision read it: kF32 views it, kBF16 keeps a copy rounded to bf16;
/// with AMX it keeps the tiles of which a product made some, for those to come. Made by hand where
/// several products read the same matrix, which is then rounded once. For one thread at a time.
class MatmulOperand {
 public:
  /// What `view` views outlives the operand. The precision is one
  /// that can train.
  MatmulOperand(const MatrixView& view, tensor::Precision precision);

  [[nodiscard]] MatmulOperand transposed() const;
  [[nodiscard]] int64_t rows() const { return rows_; }
  [[nodiscard]] int64_t cols() const { return cols_; }
  [[nodiscard]] int64_t row_stride() const { return row_stride_; }
  [[nodiscard]] int64_t col_stride() const { return col_stride_; }
  [[nodiscard]] bool stored_as_bf16() const { return stored_as_bf16_; }
  /// Whether products go by tiles, which read the floats that the operand views.
  [[nodiscard]] bool in_tiles() const { return tiles_ != nullptr; }
  /// An operand in_tiles() as the left side of a product, and its tiles as the right one.
  [[nodiscard]] TileSource left_side() const;
  [[nodiscard]] const PackedSide& right_side() const;
  /// Element (row, col), a float or, stored_as_bf16(), two bytes.
  [[nodiscard]] const std::byte* at(int64_t row, int64_t col) const;
  /// The `count` rows or columns from `begin` on.
  [[nodiscard]] MatmulOperand some_rows(int64_t begin, int64_t count) const;
  [[nodiscard]] MatmulOperand some_cols(int64_t begin, int64_t count) const;

 private:
  void keep_rounded(const MatrixView& view);

  const std::byte* data_;
  int64_t rows_, cols_, row_stride_, col_stride_;
  bool stored_as_bf16_ = false;
  std::shared_ptr<void> rounded_;  // owns data_ if there is a rounded copy
  /// What right sides of products were packed: as it was made, and transposed. Shared by copies.
  struct Tiles {
    std::shared_ptr<const PackedSide> plain, transposed;
  };
  std::shared_ptr<Tiles> tiles_;  // null unless in_tiles()
  bool is_transposed_ = false;
};

/// out [m, n] = a [m, k] b [k, n], or out += a b if `accumulate`; row i of out starts at
/// out + i * out_stride. Sums are f32. a and b are of one precision.
/// Any of m, n, k may be zero. Equal calls give equal bits, for any number of threads, inside a
/// parallel loop or not.
void matmul(const MatmulOperand& a, const MatmulOperand& b, float* out, int64_t out_stride,
            bool accumulate);

/// The same of matrices that no other product reads.
void matmul(const MatrixView& a, const MatrixView& b, float* out, int64_t out_stride,
            bool accumulate, tensor::Precision precision);

}  // namespace evo::ops
