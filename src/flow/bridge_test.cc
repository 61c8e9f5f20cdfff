#include "flow/bridge.h"

#include <array>

#include "flow/testing.h"

namespace evo::flow {
namespace {

using testing::expect_mean;

constexpr double kRounding = 1e-12;  // some operations on numbers of order 1 in double

/// One transition after the other, for the same code.
BridgeCoefficients compose(const BridgeCoefficients& first, const BridgeCoefficients& second) {
  return {second.from * first.from, second.from * first.to + second.to,
          std::hypot(second.from * first.sd, second.sd)};
}

void expect_equal(const BridgeCoefficients& actual, const BridgeCoefficients& expected) {
  EXPECT_NEAR(actual.from, expected.from, kRounding);
  EXPECT_NEAR(actual.to, expected.to, kRounding);
  EXPECT_NEAR(actual.sd, expected.sd, kRounding);
}

const std::vector<double> kLevels = {0.0, 1e-6, 0.1, 0.35, 0.5, 0.9, 0.9999, 1.0};

template <class Fn>
void for_each_rising_pair(const Fn& fn) {
  for (size_t low = 0; low < kLevels.size(); ++low) {
    for (size_t high = low; high < kLevels.size(); ++high) {
      SCOPED_TRACE(::testing::Message() << kLevels[low] << " and " << kLevels[high]);
      fn(kLevels[low], kLevels[high]);
    }
  }
}

TEST(Bridge, KeepsTheMarginals) {
  for_each_rising_pair([](double low, double high) {
    expect_equal(compose(add_noise(low), bridge(low, high)), add_noise(high));
    expect_equal(compose(add_noise(high), renoise(high, low)), add_noise(low));
  });
}

TEST(Bridge, ReversesTheNoisingProcess) {
  // The covariance of (latent at low, latent at high) given the code is the same both ways; with
  // the marginals it fixes the joint Gaussian law.
  for_each_rising_pair([](double low, double high) {
    EXPECT_NEAR(bridge(low, high).from * (1 - low), renoise(high, low).from * (1 - high),
                kRounding);
  });
}

TEST(Bridge, TwoBridgesMakeOne) {
  for_each_rising_pair([](double low, double high) {
    for (const double between : kLevels) {
      if (between < low || between > high) continue;
      expect_equal(compose(bridge(low, between), bridge(between, high)), bridge(low, high));
      expect_equal(compose(renoise(high, between), renoise(between, low)), renoise(high, low));
    }
  });
}

TEST(Bridge, EndsAreExact) {
  for (const double a : kLevels) {
    expect_equal(bridge(a, a), {1, 0, 0});
    expect_equal(renoise(a, a), {1, 0, 0});
    if (a == 0) continue;
    expect_equal(bridge(0, a), {0, std::sqrt(a), std::sqrt(1 - a)});
    if (a < 1) expect_equal(bridge(a, 1), {0, 1, 0});
    expect_equal(renoise(a, 0), {0, 0, 1});
  }
}

TEST(Bridge, SampledLatentsHaveTheMomentsOfTheirLevel) {
  constexpr size_t kCount = 40000;
  constexpr double kFrom = 0.2, kTo = 0.7;
  constexpr float kCode = 1.25f;
  const std::vector<float> code(kCount, kCode);
  std::vector<float> first_noise(kCount), second_noise(kCount), z(kCount), next(kCount);
  Random random(11);
  random.fill_normal(first_noise);
  random.fill_normal(second_noise);
  blend(add_noise(kFrom), z, code, first_noise, z);
  blend(bridge(kFrom, kTo), z, code, second_noise, next);
  RunningMean mean, square;
  for (const float x : next) {
    const double deviation = static_cast<double>(x) - std::sqrt(kTo) * static_cast<double>(kCode);
    mean.add(deviation);
    square.add(deviation * deviation);
  }
  expect_mean(mean, 0);
  expect_mean(square, 1 - kTo);
}

TEST(Bridge, BlendTakesEmptySpansForWhatItDoesNotUse) {
  const std::vector<float> z = {1, -2};
  std::vector<float> out(2);
  blend({0.5, 0, 0}, z, {}, {}, out);
  EXPECT_EQ(out, (std::vector<float>{0.5f, -1.0f}));
  blend({0.5, 2, 0}, z, std::vector<float>{1, 1}, {}, out);
  EXPECT_EQ(out, (std::vector<float>{2.5f, 1.0f}));
  blend({0, 2, 4}, z, std::vector<float>{1, 1}, std::vector<float>{0.25f, 0.5f}, out);
  EXPECT_EQ(out, (std::vector<float>{3.0f, 4.0f}));
}

/// Codes from N(0, s^2): E[c | z] = gain(a) z, and the flow maps z to z * scale(a') / scale(a).
struct GaussianCodes {
  double s;
  [[nodiscard]] double variance(double a) const { return a * s * s + 1 - a; }
  [[nodiscard]] double gain(double a) const { return std::sqrt(a) * s * s / variance(a); }
};

TEST(OdeStep, ConvergesToTheFlowOfGaussianCodes) {
  const GaussianCodes codes{0.4};
  constexpr double kFrom = 0.0, kTo = 0.95;
  const double exact = std::sqrt(codes.variance(kTo) / codes.variance(kFrom));
  const auto error = [&](int steps) {
    double z = 1;
    for (int i = 0; i < steps; ++i) {
      const double a = std::lerp(kFrom, kTo, static_cast<double>(i) / steps);
      const double next = std::lerp(kFrom, kTo, (i + 1.0) / steps);
      const BridgeCoefficients step = ode_step(a, next);
      EXPECT_EQ(step.sd, 0);
      z = step.from * z + step.to * codes.gain(a) * z;
    }
    return std::abs(z - exact);
  };
  // First order: twice the steps, half the error.
  EXPECT_LT(error(1000), 2e-3);
  EXPECT_NEAR(error(1000) / error(2000), 2, 0.1);
}

TEST(OdeStep, IsExactForAConstantPrediction) {
  for_each_rising_pair([](double low, double high) {
    for (const double between : kLevels) {
      if (low == 1 || high == 1 || between == 1) continue;
      expect_equal(compose(ode_step(low, between), ode_step(between, high)), ode_step(low, high));
    }
    if (low < 1) {  // a latent with noise e stays the latent with noise e
      const BridgeCoefficients step = ode_step(low, high), start = add_noise(low);
      EXPECT_NEAR(step.from * start.sd, add_noise(high).sd, kRounding);
      EXPECT_NEAR(step.from * start.to + step.to, add_noise(high).to, kRounding);
    }
  });
}

TEST(Velocity, IsTheRateOfShortOdeSteps) {
  const EntropicTime table = EntropicTime::standard(16);
  for (const double t : {0.9997, 0.97, 0.5, 0.05, 0.003}) {
    SCOPED_TRACE(t);
    // Central difference inside one segment of the table: relative error (h / distance to the
    // singularity)^2 and rounding / h.
    const double h = 1e-5 * std::min(t, 1 - t);
    const double a = table.signal(t);
    const BridgeCoefficients up = ode_step(a, table.signal(t + h));
    const BridgeCoefficients down = ode_step(a, table.signal(t - h));
    const Velocity v = velocity(t, table);
    EXPECT_NEAR((up.from - down.from) / (2 * h) / v.latent, 1, 1e-5);
    EXPECT_NEAR((up.to - down.to) / (2 * h) / v.code, 1, 1e-5);
  }
}

TEST(BridgeDeathTest, WrongDirectionsAndLevelsAreProgrammerErrors) {
  EXPECT_DEATH((void)bridge(0.5, 0.2), "internal check failed");
  EXPECT_DEATH((void)renoise(0.2, 0.5), "internal check failed");
  EXPECT_DEATH((void)ode_step(1.0, 0.5), "internal check failed");
  EXPECT_DEATH((void)add_noise(std::nan("")), "internal check failed");
}

}  // namespace
}  // namespace evo::flow
