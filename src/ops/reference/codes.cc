// Codes and the noise bridge.
#include <cmath>

#include "base/error.h"
#include "ops/reference/reference.h"
#include "ops/reference/tensors.h"

namespace evo::ops::reference {
namespace {

double length_of(const Matrix& m, int64_t r) {
  double squares = 0;
  for (int64_t c = 0; c < m.cols; ++c) squares += m.at(r, c) * m.at(r, c);
  return std::sqrt(squares);
}

}  // namespace

tensor::Tensor normalize_codes(tensor::Tape& tape, const tensor::Tensor& table) {
  Matrix codes = matrix_of(table);
  const double root = std::sqrt(static_cast<double>(codes.cols));
  for (int64_t v = 0; v < codes.rows; ++v) {
    const double length = length_of(codes, v);
    if (!(std::isfinite(length) && length > 0))
      fail("row {} of the code table has no direction", v);
    for (int64_t j = 0; j < codes.cols; ++j) codes.at(v, j) *= root / length;
  }
  tensor::Tensor out = output_of(tape, codes);
  out.set_wants_grad(tape.recording() && table.wants_grad());
  record(tape, out, [=](const Matrix& dcodes) {
    const Matrix from = matrix_of(table);
    Matrix dtable(from.rows, from.cols);
    for (int64_t v = 0; v < from.rows; ++v) {
      const double length = length_of(from, v);
      double along = 0;
      for (int64_t j = 0; j < from.cols; ++j) along += dcodes.at(v, j) * from.at(v, j) / length;
      for (int64_t j = 0; j < from.cols; ++j) {
        dtable.at(v, j) = root / length * (dcodes.at(v, j) - along * from.at(v, j) / length);
      }
    }
    add_gradient(table, dtable);
  });
  return out;
}

tensor::Tensor gaussian_bridge(tensor::Tape& tape, const tensor::Tensor& codes,
                               std::span<const int32_t> ids, std::span<const float> signal,
                               const tensor::Tensor& noise) {
  EVO_CHECK(ids.size() == signal.size());
  Matrix z = embed(matrix_of(codes), ids);
  std::vector<double> keep;
  for (const float a : signal) keep.push_back(std::sqrt(static_cast<double>(a)));
  for (int64_t r = 0; r < z.rows; ++r) {
    const double blur = std::sqrt(1 - static_cast<double>(signal[r]));
    for (int64_t j = 0; j < z.cols; ++j) {
      const auto e = static_cast<double>(noise.f32()[r * z.cols + j]);
      z.at(r, j) = keep[r] * z.at(r, j) + blur * e;
    }
  }
  tensor::Tensor out = output_of(tape, z);
  out.set_wants_grad(tape.recording() && codes.wants_grad());
  record(tape, out, [=, kept = std::vector<int32_t>(ids.begin(), ids.end())](const Matrix& dz) {
    for (int64_t r = 0; r < dz.rows; ++r) {
      Matrix row(1, dz.cols);
      for (int64_t j = 0; j < dz.cols; ++j) row.at(0, j) = keep[r] * dz.at(r, j);
      add_gradient(codes, row, kept[r]);
    }
  });
  return out;
}

}  // namespace evo::ops::reference
