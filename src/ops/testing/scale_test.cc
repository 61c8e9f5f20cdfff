#include "ops/scale.h"

#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;

OpCheck check(int64_t rows, int64_t cols) {
  return {
      {testing::random_matrix(rows, cols, 1)},
      [](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
        return scaled(tape, in[0], 0.3f);
      },
      [](const std::vector<Matrix>& in) {
        return reference::scaled(in[0], static_cast<double>(0.3f));
      },
  };
}

TEST(Scaled, IsCloseToReference) {
  for (const int64_t cols : testing::awkward_lengths()) {
    SCOPED_TRACE(cols);
    check(3, cols).expect_close_to_reference(2);
  }
}

TEST(Scaled, SameBitsForAnyThreads) {
  check(103, 1031).expect_same_bits_for_any_threads();
}

}  // namespace
}  // namespace evo::ops
