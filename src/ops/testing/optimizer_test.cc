#include "ops/optimizer.h"

#include <cstring>
#include <limits>

#include "base/threads/parallel.h"
#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

using testing::expect_close;
using testing::for_each_implementation;
using testing::random_values;

constexpr AdamwStep kStep{.learning_rate = 0.01f,
                          .beta1 = 0.9f,
                          .beta2 = 0.95f,
                          .eps = 1e-8f,
                          .weight_decay = 0.1f,
                          .step = 3,
                          .gradient_scale = 0.5f};

struct Arrays {
  std::vector<float> parameters, gradients, first, second;

  explicit Arrays(size_t n)
      : parameters(random_values(n, 1)),
        gradients(random_values(n, 2)),
        first(random_values(n, 3, 0.1f)),
        second(random_values(n, 4, 0.1f)) {
    for (float& v : second) v *= v;
  }
  void update(size_t offset, size_t n, const AdamwStep& step) {
    adamw(std::span(parameters).subspan(offset, n), std::span(gradients).subspan(offset, n),
          std::span(first).subspan(offset, n), std::span(second).subspan(offset, n), step);
  }
};

struct AdamwElement {
  double parameter, first, second;
};

/// Algorithm 2 of Loshchilov & Hutter (2019), line by line.
AdamwElement reference_adamw(double parameter, double gradient, double first, double second,
                             const AdamwStep& s) {
  const double g = gradient * s.gradient_scale;
  const double m = s.beta1 * first + (1.0 - s.beta1) * g;
  const double v = s.beta2 * second + (1.0 - s.beta2) * g * g;
  const double m_hat = m / (1 - std::pow(s.beta1, s.step));
  const double v_hat = v / (1 - std::pow(s.beta2, s.step));
  const double change = m_hat / (std::sqrt(v_hat) + s.eps) + s.weight_decay * parameter;
  return {parameter - s.learning_rate * change, m, v};
}

TEST(Adamw, IsCloseToReferenceForAnyLengthAndAlignment) {
  for_each_implementation([] {
    for (const size_t n : {0, 1, 3, 7, 8, 9, 15, 16, 17, 64, 65, 128, 130}) {
      for (const size_t offset : {0, 1, 3}) {
        SCOPED_TRACE(::testing::Message() << n << " elements from " << offset);
        const Arrays before(n + 8);
        Arrays after = before;
        after.update(offset, n, kStep);
        Arrays expected = before;  // elements outside the spans stay as they were
        for (size_t i = offset; i < offset + n; ++i) {
          const AdamwElement e = reference_adamw(before.parameters[i], before.gradients[i],
                                                 before.first[i], before.second[i], kStep);
          expected.parameters[i] = static_cast<float>(e.parameter);
          expected.first[i] = static_cast<float>(e.first);
          expected.second[i] = static_cast<float>(e.second);
        }
        // Moments: 4 roundings of terms below 4. Parameters (below 4): one product, one
        // difference, and the expectation's own rounding; the change is a hundred times smaller.
        expect_close(after.parameters, expected.parameters, 4 * 0x1p-24 * 4, 0);
        expect_close(after.first, expected.first, 4 * 0x1p-24 * 0.5, 0);
        expect_close(after.second, expected.second, 0, 6 * 0x1p-24);
        EXPECT_EQ(after.gradients, before.gradients);
      }
    }
  });
}

TEST(Adamw, FirstStepMovesByTheLearningRate) {
  // From zero moments the bias-corrected change is g / |g|.
  std::vector<float> parameters{1.0f, 1.0f}, gradients{0.3f, -20.0f}, first(2), second(2);
  adamw(parameters, gradients, first, second, {.learning_rate = 0.125f, .step = 1});
  expect_close(parameters, std::vector<double>{0.875, 1.125}, 1e-6, 0);
}

TEST(Adamw, SameBitsForAnyThreads) {
  const int before = threads();
  std::vector<std::vector<float>> results;
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    Arrays arrays(200003);
    arrays.update(0, 200003, kStep);
    results.push_back(arrays.parameters);
  }
  set_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(SumOfSquares, IsCloseToReferenceForAnyLengthAndAlignment) {
  const std::vector<float> values = random_values(200, 5);
  for_each_implementation([&] {
    for (size_t n = 0; n < 140; ++n) {
      for (const size_t offset : {0, 1, 2, 3}) {
        double expected = 0;
        for (size_t i = offset; i < offset + n; ++i) expected += std::pow(double{values[i]}, 2);
        const double actual = sum_of_squares(std::span(values).subspan(offset, n));
        EXPECT_NEAR(actual, expected, n * 0x1p-53 * expected);
      }
    }
  });
}

TEST(SumOfSquares, DoesNotOverflowOrHideNaN) {
  std::vector<float> values(100, 1e30f);
  EXPECT_NEAR(sum_of_squares(values) / 1e62, 1.0, 1e-6);
  values[99] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(sum_of_squares(values)));
  values[3] = std::nanf("");
  EXPECT_TRUE(std::isnan(sum_of_squares(values)));
}

TEST(SumOfSquares, SameBitsForAnyThreads) {
  const int before = threads();
  const std::vector<float> values = random_values(500001, 6);
  set_threads(1);
  const double one = sum_of_squares(values);
  for (const int count : {2, 3}) {
    set_threads(count);
    EXPECT_EQ(sum_of_squares(values), one) << count << " threads";
  }
  set_threads(before);
  double expected = 0;
  for (const float value : values) expected += std::pow(double{value}, 2);
  EXPECT_NEAR(one, expected, 500001 * 0x1p-53 * expected);
}

TEST(ExponentialAverage, IsCloseToReferenceForAnyLengthAndAlignment) {
  const float decay = 0.99f;
  for_each_implementation([&] {
    for (const size_t n : {0, 1, 3, 7, 8, 9, 16, 17, 64, 65, 130}) {
      for (const size_t offset : {0, 1, 3}) {
        std::vector<float> average = random_values(n + 8, 7);
        const std::vector<float> value = random_values(n + 8, 8);
        std::vector<double> expected(average.begin(), average.end());
        for (size_t i = offset; i < offset + n; ++i) {
          expected[i] = double{decay} * average[i] + (1.0 - decay) * value[i];
        }
        exponential_average(std::span(average).subspan(offset, n),
                            std::span(value).subspan(offset, n), decay);
        expect_close(average, expected, 3 * 0x1p-24 * 4, 0);  // three operations, below 4
      }
    }
  });
}

}  // namespace
}  // namespace evo::ops
