#include "ops/bias.h"

#include "ops/embedding.h"
#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;
using testing::random_matrix;

OpCheck bias_check(int64_t rows, int64_t cols) {
  return {{random_matrix(rows, cols, 1), random_matrix(1, cols, 2)},
          [](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
            const tensor::Tensor x =
                slice_rows(tape, in[0], 0, in[0].rows());  // add_bias works in place
            add_bias(tape, x, in[1]);
            return x;
          },
          [](const std::vector<Matrix>& in) {
            Matrix y = in[0];
            for (int64_t r = 0; r < y.rows; ++r) {
              for (int64_t c = 0; c < y.cols; ++c) y.at(r, c) += in[1].at(0, c);
            }
            return y;
          }};
}

TEST(AddBias, IsCloseToReference) {
  for (const int64_t cols : testing::awkward_lengths()) {
    SCOPED_TRACE(cols);
    bias_check(5, cols).expect_close_to_reference(5);  // the gradient sums 5 rows
  }
}

TEST(AddBias, SameBitsForAnyThreads) {
  bias_check(150, 300).expect_same_bits_for_any_threads();
}

OpCheck last_rows_check(int64_t rows, int64_t last, int64_t cols) {
  return {{random_matrix(rows, cols, 1), random_matrix(last, cols, 2)},
          [](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
            const tensor::Tensor x =
                slice_rows(tape, in[0], 0, in[0].rows());  // in place, as above
            add_to_last_rows(tape, x, in[1]);
            return x;
          },
          [last](const std::vector<Matrix>& in) {
            Matrix y = in[0];
            for (int64_t r = 0; r < last; ++r) {
              for (int64_t c = 0; c < y.cols; ++c) y.at(y.rows - last + r, c) += in[1].at(r, c);
            }
            return y;
          }};
}

TEST(AddToLastRows, IsCloseToReference) {
  for (const int64_t last : {1, 2, 5}) {
    SCOPED_TRACE(last);
    last_rows_check(5, last, 19).expect_close_to_reference(1);
  }
}

TEST(AddBiasDeathTest, OfAnotherWidth) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  EXPECT_DEATH(add_bias(tape, tensor::Tensor::zeros({2, 3}), tensor::Tensor::zeros({4})), "numel");
}

}  // namespace
}  // namespace evo::ops
