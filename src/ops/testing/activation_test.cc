#include "ops/activation.h"

#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;

constexpr std::array kAll = {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh};

OpCheck plain(Activation f, int64_t rows, int64_t cols) {
  return {
      {testing::random_matrix(rows, cols, 1)},
      [=](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
        return activate(tape, in[0], f);
      },
      [=](const std::vector<Matrix>& in) { return reference::activate(in[0], f); },
  };
}

OpCheck gated(Activation f, int64_t rows, int64_t cols) {
  return {
      {testing::random_matrix(rows, 2 * cols, 1)},
      [=](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
        return activate_gated(tape, in[0], f);
      },
      [=](const std::vector<Matrix>& in) { return reference::activate_gated(in[0], f); },
  };
}

/// The longest path: a silu has sigmoid's 2.5 ULP and two products; the tanh of a gelu 1.4 ULP, at
/// most as much again by each of the four roundings of its argument (|x| tanh'(x) < 1), and two
/// more. The other gelu is rounded once.
constexpr int kRoundings = 8;

TEST(Activation, IsCloseToReference) {
  for (const Activation f : kAll) {
    for (const int64_t cols : testing::awkward_lengths()) {
      SCOPED_TRACE(::testing::Message() << static_cast<int>(f) << ", " << cols << " columns");
      plain(f, 3, cols).expect_close_to_reference(kRoundings);
      gated(f, 3, cols).expect_close_to_reference(kRoundings);
    }
  }
}

TEST(Activation, SameBitsForAnyThreads) {
  for (const Activation f : kAll) {
    plain(f, 103, 1031).expect_same_bits_for_any_threads();
    gated(f, 103, 1031).expect_same_bits_for_any_threads();
  }
}

TEST(Activation, LargeGatesStayFinite) {
  const std::vector<float> input{-1000, -90, 90, 1000, 2, 2, 2, 2};  // gates, then ups
  for (const Activation f : kAll) {
    testing::for_each_implementation([&] {
      tensor::Tensor gate_up = tensor::Tensor::empty({1, 8});
      std::copy(input.begin(), input.end(), gate_up.f32());
      gate_up.set_wants_grad(true);
      tensor::Tape tape(tensor::Tape::Mode::kTraining);
      const tensor::Tensor out = activate_gated(tape, gate_up, f);
      std::fill_n(out.grad().f32(), 4, 1.0f);
      tape.backward();
      testing::expect_close(out.values(), std::vector<float>{0, 0, 180, 2000}, 1e-35, 0);
      testing::expect_close(gate_up.grad().values(), std::vector<float>{0, 0, 2, 2, 0, 0, 90, 1000},
                            1e-35, 0);
    });
  }
}

TEST(Activation, NaNStaysInItsPlace) {
  for (const Activation f : kAll) {
    testing::for_each_implementation([&] {
      tensor::Tape tape(tensor::Tape::Mode::kInference);
      const tensor::Tensor x = tensor::Tensor::zeros({1, 9});
      x.f32()[3] = testing::kNaN;
      const tensor::Tensor y = activate(tape, x, f);
      for (int i = 0; i < 9; ++i) EXPECT_EQ(std::isnan(y.f32()[i]), i == 3);
    });
  }
}

}  // namespace
}  // namespace evo::ops
