#include "ops/swiglu.h"

#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;

OpCheck check(int64_t rows, int64_t cols) {
  return {
      {testing::random_matrix(rows, 2 * cols, 1)},
      [](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) { return swiglu(tape, in[0]); },
      [](const std::vector<Matrix>& in) { return reference::swiglu(in[0]); },
  };
}

TEST(Swiglu, IsCloseToReference) {
  for (const int64_t cols : testing::awkward_lengths()) {
    SCOPED_TRACE(cols);
    check(3, cols).expect_close_to_reference(5 + 2);  // sigmoid's 2.5 ULP, two products
  }
}

TEST(Swiglu, SameBitsForAnyThreads) {
  check(103, 1031).expect_same_bits_for_any_threads();
}

TEST(Swiglu, LargeGatesStayFinite) {
  const std::vector<float> input{-1000, -90, 90, 1000, 2, 2, 2, 2};  // gates, then ups
  testing::for_each_implementation([&] {
    tensor::Tensor gate_up = tensor::Tensor::empty({1, 8});
    std::copy(input.begin(), input.end(), gate_up.f32());
    gate_up.set_wants_grad(true);
    tensor::Tape tape(tensor::Tape::Mode::kTraining);
    const tensor::Tensor out = swiglu(tape, gate_up);
    std::fill_n(out.grad().f32(), 4, 1.0f);
    tape.backward();
    testing::expect_close(out.values(), std::vector<float>{0, 0, 180, 2000}, 1e-35, 0);
    testing::expect_close(gate_up.grad().values(), std::vector<float>{0, 0, 2, 2, 0, 0, 90, 1000},
                          1e-35, 0);
  });
}

}  // namespace
}  // namespace evo::ops
