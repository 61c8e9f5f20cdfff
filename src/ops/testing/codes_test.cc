#include "ops/codes.h"

#include <limits>

#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;

Matrix normalize_reference(const Matrix& table) {
  Matrix codes(table.rows, table.cols);
  for (int64_t v = 0; v < table.rows; ++v) {
    double square = 0;
    for (int64_t j = 0; j < table.cols; ++j) square += table.at(v, j) * table.at(v, j);
    for (int64_t j = 0; j < table.cols; ++j) {
      codes.at(v, j) = table.at(v, j) * std::sqrt(static_cast<double>(table.cols) / square);
    }
  }
  return codes;
}

/// An output whose inputs are all detached wants no gradient, but OpCheck writes one.
tensor::Tensor wanting_gradient(tensor::Tensor output) {
  output.set_wants_grad(true);
  return output;
}

OpCheck check_normalize(int64_t rows, int64_t cols) {
  return {
      {testing::random_matrix(rows, cols, 1)},
      [](tensor::Tape& tape, const std::vector<tensor::Tensor>& t) {
        return wanting_gradient(normalize_codes(tape, t[0]));
      },
      [](const std::vector<Matrix>& m) { return normalize_reference(m[0]); },
  };
}

TEST(NormalizeCodes, IsCloseToReference) {
  for (const int64_t d : {1, 2, 3, 16, 33}) {
    SCOPED_TRACE(d);
    check_normalize(7, d).expect_close_to_reference(4);  // scale, product; gradient: two more
  }
}

TEST(NormalizeCodes, SameBitsForAnyThreads) {
  check_normalize(5000, 17).expect_same_bits_for_any_threads();
}

TEST(NormalizeCodes, TinyAndHugeRowsHaveADirection) {
  tensor::Tensor table = tensor::Tensor::empty({2, 2});
  const std::vector<float> values{3e-30f, 4e-30f, 3e30f, 4e30f};
  std::copy(values.begin(), values.end(), table.f32());
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const double unit = std::sqrt(2.0);
  testing::expect_close(normalize_codes(tape, table).values(),
                        std::vector<double>{0.6 * unit, 0.8 * unit, 0.6 * unit, 0.8 * unit}, 0,
                        4 * 0x1p-24);
}

TEST(NormalizeCodes, ARowWithoutDirectionIsAnError) {
  for (const float bad :
       {0.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    tensor::Tensor table = tensor::Tensor::empty({3, 2});
    std::fill_n(table.f32(), 6, 1.0f);
    std::fill_n(table.row(1), 2, bad);
    tensor::Tape tape(tensor::Tape::Mode::kTraining);
    try {
      normalize_codes(tape, table);
      ADD_FAILURE() << "no error for " << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("row 1 "), std::string::npos) << error.what();
    }
  }
}

const std::vector<int32_t> kIds{2, 0, 2, 3, 2};
const std::vector<float> kSignal{0.25f, 0.0f, 1.0f, 0.5f, 0.875f};

Matrix bridge_reference(const Matrix& codes, const Matrix& noise) {
  Matrix z(std::ssize(kIds), codes.cols);
  for (int64_t r = 0; r < z.rows; ++r) {
    const double a = kSignal[r];
    for (int64_t j = 0; j < z.cols; ++j) {
      z.at(r, j) = std::sqrt(a) * codes.at(kIds[r], j) + std::sqrt(1 - a) * noise.at(r, j);
    }
  }
  return z;
}

TEST(GaussianBridge, IsCloseToReference) {
  for (const int64_t d : {1, 5, 16, 33}) {
    SCOPED_TRACE(d);
    const Matrix noise = testing::random_matrix(std::ssize(kIds), d, 2);
    const tensor::Tensor e = tensor::Tensor::empty({noise.rows, d});
    std::copy(noise.values.begin(), noise.values.end(), e.f32());
    const OpCheck check(
        {testing::random_matrix(4, d, 3)},
        [e](tensor::Tape& tape, const std::vector<tensor::Tensor>& t) {
          return wanting_gradient(gaussian_bridge(tape, t[0], kIds, kSignal, e));
        },
        [noise](const std::vector<Matrix>& m) { return bridge_reference(m[0], noise); });
    check.expect_close_to_reference(6);  // two roots, two products, a sum; three rows of one id
    check.expect_same_bits_for_any_threads();
  }
}

TEST(Codes, NothingDetachedAsksForAGradient) {
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  tensor::Tensor table = tensor::Tensor::empty({4, 2});
  std::fill_n(table.f32(), 8, 1.0f);
  const tensor::Tensor noise = tensor::Tensor::zeros({std::ssize(kIds), 2});
  for (const bool wants : {false, true}) {
    table.set_wants_grad(wants);
    const tensor::Tensor codes = normalize_codes(tape, table);
    EXPECT_EQ(codes.wants_grad(), wants);
    EXPECT_EQ(gaussian_bridge(tape, codes, kIds, kSignal, noise).wants_grad(), wants);
  }
}

TEST(GaussianBridge, NoRows) {
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  tensor::Tensor codes = tensor::Tensor::zeros({3, 2});
  codes.set_wants_grad(true);
  const tensor::Tensor z = gaussian_bridge(tape, codes, {}, {}, tensor::Tensor::empty({0, 2}));
  EXPECT_EQ(z.shape(), (std::vector<int64_t>{0, 2}));
  (void)z.grad();
  tape.backward();
  testing::expect_close(codes.grad().values(), std::vector<float>(6), 0, 0);
}

}  // namespace
}  // namespace evo::ops
