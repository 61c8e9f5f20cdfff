#include "tensor/gradient_watch.h"

#include <gtest/gtest.h>

#include "tensor/tape.h"

namespace evo::tensor {
namespace {

/// Two parameters of two numbers each, one behind the other.
class GradientWatchTest : public ::testing::Test {
 protected:
  /// An operation that adds one to the parameter's gradient.
  static void use(Tape& tape, const Tensor& parameter) {
    tape.record([parameter] {
      for (float& value : parameter.grad().values()) value += 1;
    });
  }

  float values_[4] = {}, gradients_[4] = {};
  Tensor first_ = Tensor::view(values_, {2}, gradients_);
  Tensor second_ = Tensor::view(values_ + 2, {2}, gradients_ + 2);
};

TEST_F(GradientWatchTest, AGradientIsCompleteWhenItsLastOperationHasRun) {
  Tape tape(Tape::Mode::kTraining);
  const GradientWatch watch(gradients_);
  use(tape, first_);
  use(tape, second_);
  use(tape, first_);
  EXPECT_FALSE(watch.complete(0, 2));
  EXPECT_FALSE(watch.complete(2, 4));
  int closures = 0;
  tape.backward([&] {
    ++closures;
    EXPECT_EQ(watch.complete(2, 4), closures >= 2) << closures;
    EXPECT_EQ(watch.complete(0, 2), closures >= 3) << closures;
    EXPECT_EQ(watch.complete(1, 3), closures >= 3) << closures;  // a part of both
    EXPECT_TRUE(!watch.complete(2, 4) || gradients_[2] == 1) << closures;
    EXPECT_TRUE(!watch.complete(0, 2) || gradients_[0] == 2) << closures;
  });
  EXPECT_EQ(closures, 3);
}

TEST_F(GradientWatchTest, WhatNoOperationUsesIsComplete) {
  Tape tape(Tape::Mode::kTraining);
  const Tensor frozen = second_.detach();
  const GradientWatch watch(gradients_);
  tape.record([frozen] {});
  use(tape, first_);
  EXPECT_TRUE(watch.complete(2, 4));
  EXPECT_FALSE(watch.complete(0, 4));
  EXPECT_TRUE(watch.complete(0, 0));
}

TEST_F(GradientWatchTest, OtherModelsAndGoneViewsDoNotMatter) {
  float value = 0, gradient = 0;
  const Tensor other = Tensor::view(&value, {1}, &gradient);
  Tape tape(Tape::Mode::kTraining);
  first_ = Tensor();  // its memory belongs to nobody now
  const GradientWatch watch(gradients_);
  use(tape, other);
  EXPECT_TRUE(watch.complete(0, 4));
  const Tensor again = Tensor::view(values_, {2}, gradients_);
  const GradientWatch later(gradients_);
  use(tape, again);
  EXPECT_FALSE(later.complete(0, 2));
}

}  // namespace
}  // namespace evo::tensor
