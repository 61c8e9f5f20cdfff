#include "ops/gated_scan.h"

#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;

OpCheck check(const std::vector<uint8_t>& starts, int64_t cols) {
  return {{testing::random_matrix(std::ssize(starts), 2 * cols, 1)},
          [=](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
            return gated_scan(tape, in[0], starts);
          },
          [=](const std::vector<Matrix>& in) { return reference::gated_scan(in[0], starts); }};
}

std::vector<uint8_t> blocks_of(int64_t rows, int64_t block) {
  std::vector<uint8_t> starts(rows);
  for (int64_t r = 0; r < rows; r += block) starts[r] = 1;
  return starts;
}

TEST(GatedScan, IsCloseToReference) {
  for (const int64_t cols : testing::awkward_lengths()) {
    SCOPED_TRACE(cols);
    // Per step 2.5 ULP of sigmoid, 1.4 of tanh, two operations; the longest block has 5 steps, but
    // the gates shrink what earlier steps contribute.
    check({1, 0, 0, 1, 1, 0, 0, 0, 0}, cols).expect_close_to_reference(5 * 7);
  }
}

TEST(GatedScan, FirstRowStartsABlockWithoutBeingMarked) {
  check({0, 0, 1, 0}, 5).expect_close_to_reference(2 * 7);
}

TEST(GatedScan, SameBitsForAnyThreads) {
  check(blocks_of(300, 7), 131).expect_same_bits_for_any_threads();
}

TEST(GatedScan, StepGivesTheBitsOfTheScan) {
  for (const int64_t cols : testing::awkward_lengths()) {
    testing::for_each_implementation([&] {
      const int64_t rows = 12;
      const std::vector<float> values = testing::random_values(rows * 2 * cols, 3, 2.0f);
      const tensor::Tensor a = tensor::Tensor::empty({rows, 2 * cols});
      std::copy(values.begin(), values.end(), a.f32());
      tensor::Tape tape(tensor::Tape::Mode::kInference);
      const tensor::Tensor states = gated_scan(tape, a, blocks_of(rows, rows));
      std::vector<float> state(cols, 0.0f);
      for (int64_t r = 0; r < rows; ++r) {
        gated_step({a.row(r), static_cast<size_t>(2 * cols)}, state);
        ASSERT_EQ(std::memcmp(state.data(), states.row(r), state.size() * sizeof(float)), 0)
            << "row " << r << ", " << cols << " columns";
      }
    });
  }
}

TEST(GatedScan, OpenAndClosedGates) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor a = tensor::Tensor::zeros({2, 2});
  a.row(0)[0] = 1000.0f;  // open: the state becomes tanh y
  a.row(0)[1] = 1000.0f;
  a.row(1)[0] = -1000.0f;  // closed: the state stays
  a.row(1)[1] = -1000.0f;
  const tensor::Tensor states = gated_scan(tape, a, std::vector<uint8_t>{1, 0});
  EXPECT_EQ(states.f32()[0], 1.0f);
  EXPECT_EQ(states.f32()[1], 1.0f);
}

}  // namespace
}  // namespace evo::ops
