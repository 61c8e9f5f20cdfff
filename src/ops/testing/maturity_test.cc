#include "ops/maturity.h"

#include <cstring>
#include <limits>

#include "base/threads/parallel.h"
#include "ops/reference/head_formula.h"
#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

using testing::expect_close;
using testing::random_values;

/// Row 1 has weight 0.
struct Problem {
  Problem(int64_t row_count, int64_t column_count) : rows(row_count), width(column_count) {
    const auto n = static_cast<size_t>(rows);
    const std::vector<float> o_values = random_values(static_cast<size_t>(rows * width), 1);
    const std::vector<float> weight_values = random_values(static_cast<size_t>(width + 3), 2, 0.5f);
    log_pmax = random_values(n, 3);
    entropy = random_values(n, 4);
    for (size_t r = 0; r < n; ++r) {
      targets.push_back(static_cast<float>(r % 3 == 0));
      weights.push_back(r == 1 ? 0.0f : 0.5f + static_cast<float>(r % 4));
    }
    o = tensor::Tensor::empty({rows, width});
    std::copy(o_values.begin(), o_values.end(), o.f32());
    weight = tensor::Tensor::empty({width + 3});
    std::copy(weight_values.begin(), weight_values.end(), weight.f32());
    o.set_wants_grad(true);
    weight.set_wants_grad(true);
  }

  MaturityResult run(tensor::Tape::Mode mode = tensor::Tape::Mode::kTraining) const {
    tensor::Tape tape(mode);
    return maturity(tape, o, log_pmax, entropy, weight, targets, weights);
  }

  [[nodiscard]] double logit(const std::vector<double>& all_o, const std::vector<double>& w,
                             size_t r) const {
    const auto first = all_o.begin() + static_cast<int64_t>(r) * width;
    return reference::maturity_logit<double>({first, first + width}, log_pmax[r], entropy[r], w);
  }

  /// The definition of the loss, not its stable form.
  [[nodiscard]] double loss(const std::vector<double>& all_o, const std::vector<double>& w) const {
    double sum = 0;
    for (size_t r = 0; r < weights.size(); ++r) {
      const double m = 1 / (1 + std::exp(-logit(all_o, w, r)));
      sum -= weights[r] * (targets[r] * std::log(m) + (1 - targets[r]) * std::log(1 - m));
    }
    return sum;
  }

  int64_t rows, width;
  tensor::Tensor o, weight;
  std::vector<float> log_pmax, entropy, targets, weights;
};

std::vector<double> doubles(const tensor::Tensor& t) {
  return {t.values().begin(), t.values().end()};
}

TEST(Maturity, LossProbabilityAndGradientsMatchTheDefinition) {
  for (const int64_t width : {1, 5, 64, 129}) {
    SCOPED_TRACE(width);
    const Problem problem(9, width);
    const MaturityResult result = problem.run();
    std::vector<double> o = doubles(problem.o), w = doubles(problem.weight);
    std::vector<double> probability;
    for (size_t r = 0; r < 9; ++r) {
      probability.push_back(1 / (1 + std::exp(-problem.logit(o, w, r))));
    }
    expect_close(result.probability, probability, 0, 0x1p-23);  // double, rounded once
    // 1 - m in the definition loses up to 2^-53 e^logit; logits stay below 20 here.
    expect_close(std::vector<double>{result.loss}, std::vector<double>{problem.loss(o, w)}, 0,
                 1e-7);
    const auto difference = [&](double& x) {
      return testing::finite_difference([&] { return problem.loss(o, w); }, x);
    };
    std::vector<double> expected_o, expected_w;
    for (double& x : o) expected_o.push_back(difference(x));
    for (double& x : w) expected_w.push_back(difference(x));
    // Nine f32 additions of numbers below ten, and differences of a loss of size ten.
    expect_close(problem.o.grad().values(), expected_o, 10 * (2 * 0x1p-24 + 1e-8), 0);
    expect_close(problem.weight.grad().values(), expected_w, 10 * (2 * 9 * 0x1p-24 + 1e-8),
                 0x1p-20);
  }
}

TEST(Maturity, StaysFiniteForExtremeLogits) {
  for (const float bias : {-1e4f, 1e4f}) {
    Problem problem(2, 3);
    problem.weights = {1.0f, 1.0f};
    problem.targets = {0.0f, 1.0f};
    std::fill_n(problem.weight.f32(), 6, 0.0f);
    problem.weight.f32()[5] = bias;
    const MaturityResult result = problem.run();
    EXPECT_EQ(result.loss, 1e4);
    EXPECT_EQ(result.probability, std::vector<float>(2, bias > 0 ? 1.0f : 0.0f));
    EXPECT_EQ(problem.weight.grad().f32()[5], bias > 0 ? 1.0f : -1.0f);
  }
}

TEST(Maturity, NaNIsNotHiddenUnlessItsRowIsIgnored) {
  for (const int64_t row : {0, 1}) {
    Problem problem(3, 4);
    problem.o.row(row)[2] = std::numeric_limits<float>::quiet_NaN();
    const MaturityResult result = problem.run();
    EXPECT_TRUE(std::isnan(result.probability[row]));
    EXPECT_EQ(std::isnan(result.loss), row == 0);
  }
}

TEST(Maturity, NoTargetsNoLossAndNoGradient) {
  Problem problem(4, 5);
  const std::vector<float> probability = problem.run().probability;
  problem = Problem(4, 5);
  problem.targets.clear();
  problem.weights.clear();
  const MaturityResult result = problem.run();
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_EQ(result.probability, probability);
  EXPECT_FALSE(problem.o.has_grad());
  EXPECT_FALSE(problem.weight.has_grad());
}

TEST(Maturity, DetachedInputsAndInferenceGetNoGradient) {
  Problem problem(4, 5);
  problem.run(tensor::Tape::Mode::kInference);
  EXPECT_FALSE(problem.weight.has_grad());
  problem.o.set_wants_grad(false);
  problem.run();
  EXPECT_FALSE(problem.o.has_grad());
  EXPECT_TRUE(problem.weight.has_grad());
}

TEST(Maturity, SameBitsForAnyThreadsAndTwoCallsAddUp) {
  const int before = threads();
  set_threads(1);
  const Problem one(301, 200);
  const MaturityResult first = one.run();
  for (const int count : {2, 3}) {
    set_threads(count);
    const Problem several(301, 200);
    const MaturityResult result = several.run();
    EXPECT_EQ(result.loss, first.loss);
    EXPECT_EQ(result.probability, first.probability);
    EXPECT_EQ(std::memcmp(several.o.grad().f32(), one.o.grad().f32(), 301 * 200 * 4), 0);
    EXPECT_EQ(std::memcmp(several.weight.grad().f32(), one.weight.grad().f32(), 203 * 4), 0);
  }
  set_threads(before);
  const std::vector<double> once = doubles(one.o.grad());
  one.run();
  for (size_t i = 0; i < once.size(); ++i) {
    ASSERT_EQ(one.o.grad().f32()[i], static_cast<float>(2 * once[i]));
  }
}

TEST(Maturity, NoRows) {
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  const MaturityResult result =
      maturity(tape, tensor::Tensor::empty({0, 4}), {}, {}, tensor::Tensor::zeros({7}), {}, {});
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_TRUE(result.probability.empty());
}

}  // namespace
}  // namespace evo::ops
