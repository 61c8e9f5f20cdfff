#include "tensor/tape.h"

#include <gtest/gtest.h>

namespace evo::tensor {
namespace {

/// out = factor * x, as an op in the manner that tape.h describes.
Tensor scaled(Tape& tape, const Tensor& x, float factor) {
  const Tensor out = tape.output(x.shape());
  for (int64_t i = 0; i < x.numel(); ++i) out.f32()[i] = factor * x.f32()[i];
  if (tape.recording()) {
    tape.record([=] {
      if (!out.has_grad() || !x.wants_grad()) return;
      for (int64_t i = 0; i < x.numel(); ++i) x.grad().f32()[i] += factor * out.grad().f32()[i];
    });
  }
  return out;
}

TEST(Tape, OutputsWantGradientsOfATapeThatRecords) {
  Tape training(Tape::Mode::kTraining, Precision::kBF16), inference(Tape::Mode::kInference);
  EXPECT_TRUE(training.recording());
  EXPECT_FALSE(inference.recording());
  EXPECT_EQ(training.precision(), Precision::kBF16);
  EXPECT_EQ(inference.precision(), Precision::kF32);
  EXPECT_TRUE(training.output({2, 3}).wants_grad());
  EXPECT_FALSE(inference.output({2, 3}).wants_grad());
  EXPECT_EQ(inference.output({2, 3}).shape(), (std::vector<int64_t>{2, 3}));
}

TEST(TapeDeathTest, AnInferenceTapeRecordsNothing) {
  Tape tape(Tape::Mode::kInference);
  EXPECT_DEATH(tape.record([] {}), "recording");
}

TEST(Tape, RunsBackwardsAndOnce) {
  Tape tape(Tape::Mode::kTraining);
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) tape.record([&order, i] { order.push_back(i); });
  tape.backward();
  EXPECT_EQ(order, (std::vector<int>{4, 3, 2, 1, 0}));
  tape.backward();
  EXPECT_EQ(order.size(), 5u);
}

TEST(Tape, GradientsAddUpAlongAllWays) {
  std::vector<float> x = {1, -2}, dx = {0.5f, 0.5f};
  Tape tape(Tape::Mode::kTraining);
  const Tensor input = Tensor::view(x.data(), {2}, dx.data());
  const Tensor middle = scaled(tape, input, 3);
  const Tensor left = scaled(tape, middle, 10);
  const Tensor right = scaled(tape, middle, 100);
  const Tensor unused = scaled(tape, middle, 1000);
  left.grad().f32()[0] = 1;
  right.grad().f32()[1] = 2;
  tape.backward();
  EXPECT_FALSE(unused.has_grad());
  EXPECT_EQ(dx, (std::vector<float>{0.5f + 30, 0.5f + 600}));
}

// Peak memory of a training step rests on it: what a closure holds is free before the next runs.
TEST(Tape, BackwardFreesAsItGoes) {
  constexpr int64_t kCount = 10'000;
  Tape tape(Tape::Mode::kTraining);
  const size_t before = pool_stats().in_use_bytes;
  std::vector<size_t> in_use;
  for (int i = 0; i < 4; ++i) {
    const Tensor held = Tensor::empty({kCount});
    tape.record([&in_use, held] { in_use.push_back(pool_stats().in_use_bytes); });
  }
  const size_t each = (pool_stats().in_use_bytes - before) / 4;
  EXPECT_GE(each, kCount * sizeof(float));
  tape.backward();
  EXPECT_EQ(in_use, (std::vector<size_t>{before + 4 * each, before + 3 * each, before + 2 * each,
                                         before + each}));
  EXPECT_EQ(pool_stats().in_use_bytes, before);
}

TEST(Tape, RecomputedValuesAreFreeBetweenTheirUses) {
  constexpr int64_t kCount = 10'000;
  std::vector<float> x(kCount, 2), dx(kCount, 0);
  const Tensor input = Tensor::view(x.data(), {kCount}, dx.data());
  Tape tape(Tape::Mode::kTraining);
  const auto make = [=](Tape& on) { return scaled(on, input, 3); };
  const Tensor middle = make(tape);
  const Tensor out = tape.output({kCount});
  for (int64_t i = 0; i < kCount; ++i) out.f32()[i] = middle.f32()[i] * middle.f32()[i];
  tape.record([=] {
    for (int64_t i = 0; i < kCount; ++i) {
      middle.grad().f32()[i] += 2 * middle.f32()[i] * out.grad().f32()[i];
    }
  });
  const size_t held = pool_stats().in_use_bytes;
  tape.recompute(middle, make);
  EXPECT_LE(pool_stats().in_use_bytes + kCount * sizeof(float), held);
  EXPECT_DEATH((void)middle.f32(), "");
  out.grad().f32()[7] = 1;
  tape.backward();
  EXPECT_EQ(dx[7], 2 * 6 * 3.0f);
  EXPECT_EQ(dx[8], 0.0f);
  EXPECT_EQ(middle.f32()[0], 6.0f);
}

/// Two operations of which only the input is kept, between two that keep all.
TEST(Tape, RemadeValuesHaveTheSameGradients) {
  float x[] = {2, -1}, dx[] = {0, 0};
  const Tensor input = Tensor::view(x, {2}, dx);
  Tape tape(Tape::Mode::kTraining);
  const Tensor before = scaled(tape, input, 3);
  int made = 0;
  const Tensor middle = tape.remade([before, &made](Tape& on) {
    ++made;
    return scaled(on, scaled(on, before, 5), 7);
  });
  const Tensor out = scaled(tape, middle, 11);
  EXPECT_EQ(out.f32()[1], -3 * 5 * 7 * 11.0f);
  EXPECT_EQ(made, 1);
  out.grad().f32()[0] = 1;
  tape.backward();
  EXPECT_EQ(made, 2);
  EXPECT_EQ(dx[0], 3 * 5 * 7 * 11.0f);
  EXPECT_EQ(dx[1], 0.0f);
}

TEST(Tape, WhatNobodyWantsIsNotRemade) {
  Tape tape(Tape::Mode::kTraining);
  int made = 0;
  (void)tape.remade([&](Tape& on) {
    ++made;
    return on.output({1});
  });
  tape.backward();
  EXPECT_EQ(made, 1);
}

TEST(Tape, RecomputeLeavesInferenceAlone) {
  Tape tape(Tape::Mode::kInference);
  const Tensor value = Tensor::zeros({3});
  tape.recompute(value, [](Tape&) { return Tensor(); });
  EXPECT_EQ(value.f32()[2], 0.0f);
}

}  // namespace
}  // namespace evo::tensor
