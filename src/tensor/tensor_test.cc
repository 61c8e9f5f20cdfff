#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

namespace evo::tensor {
namespace {

using Shape = std::vector<int64_t>;

TEST(Tensor, ShapeAndRows) {
  const Tensor matrix = Tensor::empty({3, 4});
  EXPECT_EQ(matrix.shape(), (Shape{3, 4}));
  EXPECT_EQ(matrix.numel(), 12);
  EXPECT_EQ(matrix.rows(), 3);
  EXPECT_EQ(matrix.cols(), 4);
  EXPECT_EQ(matrix.row(2), matrix.f32() + 8);
  EXPECT_EQ(matrix.values().size(), 12u);

  const Tensor cube = Tensor::empty({2, 3, 4});
  EXPECT_EQ(cube.rows(), 2);
  EXPECT_EQ(cube.cols(), 12);

  const Tensor vector = Tensor::empty({5});
  EXPECT_EQ(vector.rows(), 5);
  EXPECT_EQ(vector.cols(), 1);

  const Tensor scalar = Tensor::empty({});
  EXPECT_EQ(scalar.numel(), 1);
  EXPECT_EQ(scalar.rows(), 1);
  EXPECT_EQ(scalar.cols(), 1);

  const Tensor nothing = Tensor::empty({0, 4});
  EXPECT_EQ(nothing.numel(), 0);
  EXPECT_EQ(nothing.cols(), 0);
  EXPECT_FALSE(Tensor().defined());
  EXPECT_TRUE(nothing.defined());
}

TEST(Tensor, CopiesShareTheArray) {
  const Tensor a = Tensor::zeros({4});
  const Tensor b = a;
  a.f32()[2] = 5;
  EXPECT_EQ(b.f32()[2], 5);
}

TEST(Tensor, TypesHaveTheirSizes) {
  EXPECT_EQ(dtype_size(DType::kF32), 4);
  EXPECT_EQ(dtype_size(DType::kBF16), 2);
  EXPECT_EQ(dtype_size(DType::kI32), 4);
  EXPECT_STREQ(dtype_name(DType::kBF16), "BF16");
  const Tensor halves = Tensor::zeros({3, 5}, DType::kBF16);
  EXPECT_EQ(halves.dtype(), DType::kBF16);
  EXPECT_TRUE(std::all_of(halves.bf16(), halves.bf16() + 15, [](uint16_t v) { return v == 0; }));
  const Tensor ids = Tensor::zeros({7}, DType::kI32);
  EXPECT_TRUE(std::all_of(ids.i32(), ids.i32() + 7, [](int32_t v) { return v == 0; }));
}

TEST(TensorDeathTest, TheWrongTypeIsAFault) {
  const Tensor halves = Tensor::zeros({3}, DType::kBF16);
  EXPECT_DEATH((void)halves.f32(), "kF32");
  EXPECT_DEATH((void)halves.i32(), "kI32");
  EXPECT_DEATH((void)Tensor().f32(), "kF32");
  EXPECT_DEATH((void)Tensor::empty({-1}), "extent >= 0");
}

TEST(Tensor, SizesThatOverflowAreErrors) {
  const int64_t large = int64_t{1} << 40;
  EXPECT_THROW((void)Tensor::empty({large, large}), Error);
  EXPECT_THROW((void)Tensor::zeros({large, 2, large}), Error);
  EXPECT_THROW((void)Tensor::empty({int64_t{1} << 61}), Error);  // fits, but its bytes do not
  EXPECT_THROW((void)Tensor::view(nullptr, {large, large}), Error);
}

TEST(Tensor, ZerosAreZeroInAUsedArray) {
  for (const int64_t size : {int64_t{1}, int64_t{1000}, int64_t{1} << 20}) {
    {
      const Tensor used = Tensor::empty({size});
      std::fill_n(used.f32(), size, 3.0f);
    }
    const Tensor zeros = Tensor::zeros({size});
    EXPECT_TRUE(std::all_of(zeros.values().begin(), zeros.values().end(),
                            [](float value) { return value == 0; }));
  }
}

TEST(Gradient, IsWantedOnlyIfAskedFor) {
  Tensor a = Tensor::empty({2, 3});
  EXPECT_FALSE(a.wants_grad());
  EXPECT_FALSE(Tensor().wants_grad());
  EXPECT_FALSE(Tensor().has_grad());
  a.set_wants_grad(true);
  EXPECT_TRUE(a.wants_grad());
  EXPECT_FALSE(a.has_grad());
}

TEST(GradientDeathTest, OfATensorThatWantsNone) {
  const Tensor a = Tensor::empty({2});
  EXPECT_DEATH((void)a.grad(), "wants_grad");
}

TEST(Gradient, StartsAtZeroAndStays) {
  {
    const Tensor used = Tensor::empty({2, 3});
    std::fill_n(used.f32(), 6, 3.0f);
  }
  Tensor a = Tensor::empty({2, 3});
  a.set_wants_grad(true);
  const Tensor copy = a;
  EXPECT_EQ(a.grad().shape(), a.shape());
  EXPECT_TRUE(copy.has_grad());
  for (const float value : a.grad().values()) EXPECT_EQ(value, 0);
  a.grad().f32()[4] = 7;
  EXPECT_EQ(copy.grad().f32()[4], 7);
}

TEST(Gradient, IsFreshOnce) {
  Tensor a = Tensor::empty({5});
  a.set_wants_grad(true);
  bool fresh = false;
  const Tensor first = a.grad_for_write(fresh);
  EXPECT_TRUE(fresh);
  std::iota(first.f32(), first.f32() + 5, 1.0f);
  EXPECT_EQ(a.grad_for_write(fresh).f32(), first.f32());
  EXPECT_FALSE(fresh);
  EXPECT_EQ(a.grad().f32()[4], 5);  // and grad() does not set it to zero again
}

TEST(View, UsesTheCallersArrays) {
  std::vector<float> data(6, 1.0f), grad(6, 2.0f);
  {
    const Tensor view = Tensor::view(data.data(), {2, 3}, grad.data());
    EXPECT_EQ(view.f32(), data.data());
    EXPECT_TRUE(view.wants_grad() && view.has_grad());
    bool fresh = true;
    EXPECT_EQ(view.grad_for_write(fresh).f32(), grad.data());
    EXPECT_FALSE(fresh);  // what the caller has accumulated counts
    EXPECT_EQ(view.grad().shape(), (Shape{2, 3}));
    view.grad().f32()[5] += 1;
  }
  EXPECT_EQ(grad, (std::vector<float>{2, 2, 2, 2, 2, 3}));
  const Tensor bare = Tensor::view(data.data(), {6});
  EXPECT_FALSE(bare.wants_grad() || bare.has_grad());
}

TEST(Detach, SharesNumbersAndNoGradient) {
  Tensor a = Tensor::zeros({3});
  a.set_wants_grad(true);
  (void)a.grad();
  const Tensor detached = a.detach();
  EXPECT_EQ(detached.f32(), a.f32());
  EXPECT_FALSE(detached.wants_grad() || detached.has_grad());
  EXPECT_TRUE(a.wants_grad() && a.has_grad());
}

TEST(Detach, KeepsTheArrayAlive) {
  Tensor a = Tensor::zeros({1000});
  a.f32()[999] = 4;
  const Tensor detached = a.detach();
  const size_t in_use = pool_stats().in_use_bytes;
  a = Tensor();
  EXPECT_EQ(pool_stats().in_use_bytes, in_use);
  EXPECT_EQ(detached.f32()[999], 4);
}

// Sizes no other test has, so that only arrays of this one are found again.
TEST(Pool, GivesAnArrayAgain) {
  trim_pool();
  float* const first = Tensor::empty({12345}).f32();
  const size_t reserved = pool_stats().reserved_bytes;
  const Tensor again = Tensor::empty({12344});  // of the same size class
  EXPECT_EQ(again.f32(), first);
  const Tensor other = Tensor::empty({12345});
  EXPECT_NE(other.f32(), first);
  EXPECT_GT(pool_stats().reserved_bytes, reserved);
}

TEST(Pool, ArraysAreAligned) {
  for (const int64_t size : {0, 1, 16, 17, 1000, 99'999}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(Tensor::empty({size}).f32()) % 64, 0u) << size;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(pooled_bytes(static_cast<size_t>(size)).get()) % 64, 0u);
  }
}

TEST(Pool, WastesAnEighthAtMost) {
  for (size_t bytes = 1; bytes < 100'000; bytes += 97) {
    const size_t before = pool_stats().in_use_bytes;
    const auto held = pooled_bytes(bytes);
    const size_t got = pool_stats().in_use_bytes - before;
    EXPECT_GE(got, bytes);
    EXPECT_LE(static_cast<double>(got), static_cast<double>(bytes) * 1.125 + 64);
  }
}

TEST(Pool, Counts) {
  const PoolStats before = pool_stats();
  {
    const auto held = pooled_bytes(size_t{1} << 24);
    EXPECT_EQ(pool_stats().in_use_bytes, before.in_use_bytes + (size_t{1} << 24));
    EXPECT_GE(pool_stats().peak_bytes, pool_stats().in_use_bytes);
  }
  EXPECT_EQ(pool_stats().in_use_bytes, before.in_use_bytes);
  EXPECT_GE(pool_stats().peak_bytes, before.in_use_bytes + (size_t{1} << 24));
  EXPECT_GE(pool_stats().reserved_bytes, size_t{1} << 24);
  trim_pool();
  EXPECT_EQ(pool_stats().reserved_bytes, pool_stats().in_use_bytes);
}

TEST(Pool, AnArrayThatCannotBeHadIsNotCounted) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers' allocators end the process instead of returning null";
#endif
  const PoolStats before = pool_stats();
  EXPECT_THROW((void)pooled_bytes(size_t{1} << 62), std::bad_alloc);
  EXPECT_EQ(pool_stats().in_use_bytes, before.in_use_bytes);
  EXPECT_EQ(pool_stats().peak_bytes, before.peak_bytes);
  EXPECT_EQ(pool_stats().reserved_bytes, before.reserved_bytes);
}

TEST(Tensor, TakesAnotherGradientInsteadOfCopyingIt) {
  std::vector<float> a = {1, 2}, b = {3, 4};
  const Tensor from = Tensor::view(a.data(), {2}), to = Tensor::view(b.data(), {2});
  for (Tensor tensor : {from, to}) tensor.set_wants_grad(true);
  from.grad().f32()[1] = 5;
  const float* array = from.grad().f32();
  to.take_grad(from);
  EXPECT_FALSE(from.has_grad());
  EXPECT_EQ(to.grad().f32(), array);
  EXPECT_EQ(to.grad().f32()[1], 5);
}

TEST(Tensor, SetZeroReachesEveryElement) {
  for (const size_t count : {size_t{0}, size_t{1}, size_t{200'003}}) {
    std::vector<float> values(count + 1, 7);
    set_zero(std::span(values).first(count));
    EXPECT_EQ(std::ranges::count(values, 0.0f), static_cast<int64_t>(count));
    EXPECT_EQ(values.back(), 7);
  }
}

TEST(Pool, ThreadsDoNotShareArrays) {
  const auto work = [](float mark) {
    for (int round = 0; round < 2000; ++round) {
      const Tensor mine = Tensor::empty({100 + round % 3});
      std::fill_n(mine.f32(), mine.numel(), mark);
      const auto values = mine.values();
      ASSERT_EQ(std::count(values.begin(), values.end(), mark), mine.numel());
    }
  };
  std::thread other(work, 1.0f);
  work(2.0f);
  other.join();
}

}  // namespace
}  // namespace evo::tensor
