// What moves rows and columns, and what is added to them in place.
#include "base/error.h"
#include "ops/reference/reference.h"
#include "ops/reference/tensors.h"

namespace evo::ops::reference {
namespace {

Matrix part_of(const Matrix& whole, int64_t row, int64_t rows, int64_t column, int64_t cols) {
  Matrix part(rows, cols);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) part.at(r, c) = whole.at(row + r, column + c);
  }
  return part;
}

/// The rows of `ids` of a weight.
Matrix rows_of(const Weight& weight, std::span<const int32_t> ids) {
  if (!weight.packed) return embed(matrix_of(weight.value), ids);
  Matrix rows(std::ssize(ids), weight.packed->in());
  std::vector<float> row(static_cast<size_t>(rows.cols));
  for (int64_t r = 0; r < rows.rows; ++r) {
    weight.packed->row(ids[r], row.data());
    for (int64_t c = 0; c < rows.cols; ++c) rows.at(r, c) = row[c];
  }
  return rows;
}

}  // namespace

tensor::Tensor embed(tensor::Tape& tape, const Weight& weight, std::span<const int32_t> ids) {
  const int64_t count = weight.packed ? weight.packed->out() : weight.value.rows();
  for (const int32_t id : ids) EVO_CHECK(id >= 0 && id < count);
  const bool packed = weight.packed && !tape.recording();
  const tensor::Tensor table = weight.value;
  const tensor::Tensor out =
      output_of(tape, rows_of({table, packed ? weight.packed : nullptr}, ids));
  record(tape, out, [=, kept = std::vector<int32_t>(ids.begin(), ids.end())](const Matrix& dout) {
    for (int64_t r = 0; r < dout.rows; ++r) {
      add_gradient(table, part_of(dout, r, 1, 0, dout.cols), kept[r]);
    }
  });
  return out;
}

tensor::Tensor concat_rows(tensor::Tape& tape, const tensor::Tensor& a, const tensor::Tensor& b) {
  const tensor::Tensor out = output_of(tape, concat_rows(matrix_of(a), matrix_of(b)));
  record(tape, out, [=](const Matrix& dout) {
    add_gradient(a, part_of(dout, 0, a.rows(), 0, dout.cols));
    add_gradient(b, part_of(dout, a.rows(), b.rows(), 0, dout.cols));
  });
  return out;
}

tensor::Tensor concat_cols(tensor::Tape& tape, std::span<const tensor::Tensor> parts) {
  std::vector<Matrix> matrices;
  for (const tensor::Tensor& part : parts) matrices.push_back(matrix_of(part));
  const tensor::Tensor out = output_of(tape, concat_cols(matrices));
  record(tape, out,
         [=, kept = std::vector<tensor::Tensor>(parts.begin(), parts.end())](const Matrix& dout) {
           int64_t column = 0;
           for (const tensor::Tensor& part : kept) {
             add_gradient(part, part_of(dout, 0, dout.rows, column, part.shape()[1]));
             column += part.shape()[1];
           }
         });
  return out;
}

tensor::Tensor slice_rows(tensor::Tape& tape, const tensor::Tensor& x, int64_t begin, int64_t end) {
  const tensor::Tensor out = output_of(tape, slice_rows(matrix_of(x), begin, end));
  record(tape, out, [=](const Matrix& dout) { add_gradient(x, dout, begin); });
  return out;
}

void add_bias(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& bias) {
  Matrix sum = matrix_of(x);
  for (int64_t r = 0; r < sum.rows; ++r) {
    for (int64_t c = 0; c < sum.cols; ++c) sum.at(r, c) += static_cast<double>(bias.f32()[c]);
  }
  store(sum, x);
  record(tape, x, [=](const Matrix& dx) {
    Matrix dbias(1, dx.cols);
    for (int64_t r = 0; r < dx.rows; ++r) {
      for (int64_t c = 0; c < dx.cols; ++c) dbias.at(0, c) += dx.at(r, c);
    }
    add_gradient(bias, dbias);
  });
}

void add_to_last_rows(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& delta) {
  Matrix sum = matrix_of(x);
  const Matrix added = matrix_of(delta);
  const int64_t first = sum.rows - added.rows;
  for (int64_t r = first; r < sum.rows; ++r) {
    for (int64_t c = 0; c < sum.cols; ++c) sum.at(r, c) += added.at(r - first, c);
  }
  store(sum, x);
  record(tape, x, [=](const Matrix& dx) {
    add_gradient(delta, part_of(dx, first, dx.rows - first, 0, dx.cols));
  });
}

}  // namespace evo::ops::reference
