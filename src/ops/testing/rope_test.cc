#include "ops/rope.h"

#include "ops/embedding.h"
#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;
using testing::random_matrix;

constexpr double kTheta = 10000;
constexpr float kNormEps = 1e-6f;

/// The first `rotated` numbers of a head.
OpCheck rope_check(const HeadLayout& layout, int rotated, const std::vector<int32_t>& positions) {
  const RopeTable table(rotated, kTheta, 5000);
  return {{random_matrix(std::ssize(positions), layout.row_cols(), 1)},
          [=](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
            const tensor::Tensor qkv =
                slice_rows(tape, in[0], 0, in[0].rows());  // rope works in place
            rope(tape, qkv, layout, table, positions);
            return qkv;
          },
          [=](const std::vector<Matrix>& in) {
            return reference::rope(in[0], layout, rotated, kTheta, positions);
          }};
}

OpCheck head_norm_check(const HeadLayout& layout, int64_t rows, bool together = false) {
  return {{random_matrix(rows, layout.row_cols(), 1),
           random_matrix(1, together ? layout.q_cols() : layout.head_size, 2),
           random_matrix(1, together ? layout.kv_cols() : layout.head_size, 3)},
          [=](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
            return head_norm(tape, in[0], layout, in[1], in[2], kNormEps);
          },
          [=](const std::vector<Matrix>& in) {
            return reference::head_norm(in[0], layout, in[1], in[2], kNormEps);
          }};
}

TEST(Rope, IsCloseToReference) {
  for (const int head_size : {2, 4, 6, 14, 16, 18, 32, 34, 64, 66, 128, 130}) {
    SCOPED_TRACE(head_size);
    // Cosine and sine rounded, two products, a sum.
    rope_check({3, 2, head_size}, head_size, {0, 1, 7, 4999, 7}).expect_close_to_reference(5);
  }
}

TEST(Rope, NarrowTableLeavesTheRestOfAHead) {
  for (const int rotated : {2, 6, 16, 34, 64}) {
    SCOPED_TRACE(rotated);
    rope_check({3, 2, 66}, rotated, {0, 1, 7, 4999, 7}).expect_close_to_reference(5);
  }
}

TEST(Rope, SameBitsForAnyThreads) {
  std::vector<int32_t> positions(150);
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int32_t>(3 * i);
  rope_check({4, 2, 66}, 66, positions).expect_same_bits_for_any_threads();
}

TEST(Rope, BackwardUndoesForward) {
  const HeadLayout layout{2, 1, 16};
  const RopeTable table(16, kTheta, 100);
  tensor::Tensor qkv = tensor::Tensor::zeros({3, layout.row_cols()});
  qkv.set_wants_grad(true);
  const std::vector<float> values = testing::random_values(qkv.numel(), 5);
  std::copy(values.begin(), values.end(), qkv.f32());
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  rope(tape, qkv, layout, table, std::vector<int32_t>{3, 50, 99});
  std::copy_n(qkv.f32(), qkv.numel(), qkv.grad().f32());
  tape.backward();
  // Two rotations of 5 roundings each, of numbers below 4 or so.
  testing::expect_close(qkv.grad().values(), values, 10 * 0x1p-24 * 4, 0);
}

TEST(Rope, TableIsExactAtLargePositions) {
  const RopeTable table(128, 500000.0, 131072);
  const double angle = 131071 * std::pow(500000.0, -2.0 * 5 / 128);
  EXPECT_FLOAT_EQ(table.cos_row(131071)[5], static_cast<float>(std::cos(angle)));
  EXPECT_FLOAT_EQ(table.sin_row(131071)[5], static_cast<float>(std::sin(angle)));
  EXPECT_EQ(table.max_position(), 131072);
}

/// The factor is that of both queries and keys, and of no value.
TEST(Rope, AttentionFactorScalesTheTable) {
  RopeScaling yarn;
  yarn.rope_type = "yarn";
  yarn.original_max_position_embeddings = 64;
  yarn.attention_factor = 1.5;  // and a factor of 1: the frequencies stay
  const RopeTable plain(8, kTheta, 2000), scaled(8, kTheta, 2000, yarn);
  for (const int64_t position : {0, 1023, 1024, 1999}) {  // of both pieces
    for (int i = 0; i < 4; ++i) {
      EXPECT_FLOAT_EQ(scaled.cos_row(position)[i], 1.5f * plain.cos_row(position)[i]);
      EXPECT_FLOAT_EQ(scaled.sin_row(position)[i], 1.5f * plain.sin_row(position)[i]);
    }
  }
}

TEST(RopeDeathTest, PositionBeyondTheTable) {
  const HeadLayout layout{1, 1, 4};
  const RopeTable table(4, kTheta, 10);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor qkv = tensor::Tensor::zeros({1, layout.row_cols()});
  EXPECT_DEATH(rope(tape, qkv, layout, table, std::vector<int32_t>{10}), "max_position");
}

TEST(HeadNorm, IsCloseToReference) {
  for (const int head_size : {2, 4, 6, 14, 16, 18, 32, 34, 64, 66, 128, 130}) {
    SCOPED_TRACE(head_size);
    // head_size terms of the mean, 5 operations after it; weights sum over 3 rows x 3 heads.
    head_norm_check({3, 2, head_size}, 3).expect_close_to_reference(head_size + 5 + 9);
  }
}

TEST(HeadNorm, TakesAllHeadsTogether) {
  for (const int head_size : {2, 6, 16, 34}) {
    SCOPED_TRACE(head_size);
    head_norm_check({3, 2, head_size}, 3, true).expect_close_to_reference(3 * head_size + 5 + 3);
  }
}

TEST(HeadNorm, SameBitsForAnyThreads) {
  head_norm_check({4, 2, 66}, 150).expect_same_bits_for_any_threads();
  head_norm_check({4, 2, 66}, 150, true).expect_same_bits_for_any_threads();
}

}  // namespace
}  // namespace evo::ops
