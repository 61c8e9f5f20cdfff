// What moves rows and columns, and what is added to them in place.
#include "base/error.h"
#include "ops/reference/reference.h"
#include "ops/reference/tensors.h"

namespace evo::reference {
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
    weight.packed->row(ids[static_cast<size_t>(r)], row.data());
    for (int64_t c = 0; c < rows.cols; ++c) rows.at(r, c) = row[static_cast<size_t>(c)];
  }
  return rows;
}

}  // namespace

Tensor embed(Tape& tape, const Weight& weight, std::span<const int32_t> ids) {
  const int64_t count = weight.packed ? weight.packed->out() : weight.value.rows();
  for (const int32_t id : ids) EVO_CHECK(id >= 0 && id < count);
  const bool packed = weight.packed && !tape.recording();
  const Tensor table = weight.value;
  const Tensor out = output_of(tape, rows_of({table, packed ? weight.packed : nullptr}, ids));
  record(tape, out, [=, kept = std::vector<int32_t>(ids.begin(), ids.end())](const Matrix& dout) {
    for (int64_t r = 0; r < dout.rows; ++r) {
      add_gradient(table, part_of(dout, r, 1, 0, dout.cols), kept[static_cast<size_t>(r)]);
    }
  });
  return out;
}

Tensor concat_rows(Tape& tape, const Tensor& a, const Tensor& b) {
  const Tensor out = output_of(tape, concat_rows(matrix_of(a), matrix_of(b)));
  record(tape, out, [=](const Matrix& dout) {
    add_gradient(a, part_of(dout, 0, a.rows(), 0, dout.cols));
    add_gradient(b, part_of(dout, a.rows(), b.rows(), 0, dout.cols));
  });
  return out;
}

Tensor concat_cols(Tape& tape, std::span<const Tensor> parts) {
  std::vector<Matrix> matrices;
  for (const Tensor& part : parts) matrices.push_back(matrix_of(part));
  const Tensor out = output_of(tape, concat_cols(matrices));
  record(tape, out,
         [=, kept = std::vector<Tensor>(parts.begin(), parts.end())](const Matrix& dout) {
           int64_t column = 0;
           for (const Tensor& part : kept) {
             add_gradient(part, part_of(dout, 0, dout.rows, column, part.shape()[1]));
             column += part.shape()[1];
           }
         });
  return out;
}

Tensor slice_rows(Tape& tape, const Tensor& x, int64_t begin, int64_t end) {
  const Tensor out = output_of(tape, slice_rows(matrix_of(x), begin, end));
  record(tape, out, [=](const Matrix& dout) { add_gradient(x, dout, begin); });
  return out;
}

void add_bias(Tape& tape, const Tensor& x, const Tensor& bias) {
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

void add_to_last_rows(Tape& tape, const Tensor& x, const Tensor& delta) {
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

}  // namespace evo::reference
