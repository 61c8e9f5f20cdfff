#include "ops/embedding.h"

#include "ops/testing/op_check.h"

namespace evo::ops {
namespace {

using testing::Matrix;
using testing::OpCheck;
using testing::random_matrix;

OpCheck embed_check(const std::vector<int32_t>& ids, int64_t vocabulary, int64_t cols) {
  return {{random_matrix(vocabulary, cols, 1)},
          [=](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
            return embed(tape, {in[0], nullptr}, ids);
          },
          [=](const std::vector<Matrix>& in) { return reference::embed(in[0], ids); }};
}

OpCheck concat_rows_check(int64_t a_rows, int64_t b_rows, int64_t cols) {
  return {{random_matrix(a_rows, cols, 1), random_matrix(b_rows, cols, 2)},
          [](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
            return concat_rows(tape, in[0], in[1]);
          },
          [](const std::vector<Matrix>& in) { return reference::concat_rows(in[0], in[1]); }};
}

OpCheck concat_cols_check(int64_t rows, const std::vector<int64_t>& widths) {
  std::vector<Matrix> parts;
  for (const int64_t cols : widths) parts.push_back(random_matrix(rows, cols, parts.size()));
  return {parts,
          [](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
            return concat_cols(tape, in);
          },
          [](const std::vector<Matrix>& in) { return reference::concat_cols(in); }};
}

TEST(Embed, IsCloseToReference) {
  for (const int64_t cols : testing::awkward_lengths()) {
    SCOPED_TRACE(cols);
    embed_check({4, 0, 4, 4, 2}, 5, cols).expect_close_to_reference(3);  // id 4 occurs three times
  }
}

TEST(Embed, SameBitsForAnyThreads) {
  std::vector<int32_t> ids(1000);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * i % 7);
  embed_check(ids, 7, 131).expect_same_bits_for_any_threads();
}

TEST(EmbedDeathTest, IdBeyondTheTable) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor table = tensor::Tensor::zeros({3, 2});
  EXPECT_DEATH((void)embed(tape, {table, nullptr}, std::vector<int32_t>{3}), "table.rows");
}

TEST(ConcatRows, IsCloseToReference) {
  for (const int64_t cols : {1, 5, 16, 33})
    concat_rows_check(3, 2, cols).expect_close_to_reference(1);
}

TEST(ConcatRows, EitherSideMayBeEmpty) {
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  const tensor::Tensor some = tensor::Tensor::zeros({2, 3});
  const tensor::Tensor none = tensor::Tensor::empty({0, 3});
  some.f32()[5] = 7.0f;
  for (const tensor::Tensor& both :
       {concat_rows(tape, some, none), concat_rows(tape, none, some)}) {
    EXPECT_EQ(both.shape(), (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(both.f32()[5], 7.0f);
  }
}

TEST(ConcatCols, IsCloseToReference) {
  concat_cols_check(4, {1, 17, 3, 64}).expect_close_to_reference(1);
}

TEST(ConcatCols, SameBitsForAnyThreads) {
  concat_cols_check(200, {100, 131}).expect_same_bits_for_any_threads();
}

TEST(ConcatCols, OneTensorTwiceGetsBothGradients) {
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  tensor::Tensor x = tensor::Tensor::zeros({1, 2});
  x.set_wants_grad(true);
  const tensor::Tensor y = concat_cols(tape, std::vector<tensor::Tensor>{x, x});
  std::fill_n(y.grad().f32(), 4, 1.0f);
  tape.backward();
  for (const float gradient : x.grad().values()) EXPECT_EQ(gradient, 2.0f);
}

TEST(SliceRows, IsCloseToReference) {
  OpCheck(
      {random_matrix(6, 17, 1)},
      [](tensor::Tape& tape, const std::vector<tensor::Tensor>& in) {
        return slice_rows(tape, in[0], 2, 5);
      },
      [](const std::vector<Matrix>& in) { return reference::slice_rows(in[0], 2, 5); })
      .expect_close_to_reference(1);
}

TEST(SliceRows, MayBeEmpty) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  EXPECT_EQ(slice_rows(tape, tensor::Tensor::zeros({2, 3}), 2, 2).shape(),
            (std::vector<int64_t>{0, 3}));
}

}  // namespace
}  // namespace evo::ops
