#include "flow/entropic_time.h"

#include "base/error.h"
#include "flow/testing.h"

namespace evo::flow {
namespace {

EntropicTime odd_table() {
  return EntropicTime({-3.0, -1.0, -0.9, 0.5, 4.0}, {0.97, 0.9, 0.4, 0.35, 0.01});
}

std::vector<EntropicTime> tables() {
  return {odd_table(), EntropicTime::standard(16)};
}

std::vector<double> times_between(const EntropicTime& table, int count) {
  std::vector<double> times;
  for (int i = 1; i < count; ++i) {
    times.push_back(table.min_time() + (1 - table.min_time()) * (i - 0.37) / count);
  }
  return times;
}

TEST(EntropicTime, TimeInvertsSnr) {
  for (const EntropicTime& table : tables()) {
    for (const double t : times_between(table, 997)) {
      EXPECT_NEAR(table.time(table.snr(t)), t, 1e-13);
    }
    for (size_t k = 0; k < table.time_values().size(); ++k) {
      EXPECT_NEAR(table.snr(table.time_values()[k]) / std::exp(table.log_snr()[k]), 1, 1e-13);
    }
    EXPECT_EQ(table.time(0), 1);
  }
}

TEST(EntropicTime, EndsAreExact) {
  for (const EntropicTime& table : tables()) {
    EXPECT_EQ(table.snr(1), 0);
    EXPECT_EQ(table.signal(1), 0);
    EXPECT_EQ(table.noise(1), 1);
    EXPECT_EQ(table.kappa(1), 0);
    EXPECT_EQ(table.snr(0), std::exp(table.log_snr().back()));
    EXPECT_EQ(table.snr(0.5 * table.min_time()), table.snr(table.min_time()));
    EXPECT_EQ(table.snr_slope(0.5 * table.min_time()), 0);
    EXPECT_GT(table.snr_slope(table.min_time()), 0);
    EXPECT_EQ(table.time(2 * table.snr(0)), table.min_time());
  }
}

TEST(EntropicTime, SlopeIsTheDerivativeOfSnr) {
  // Central differences away from the knots; g is exponential or linear there, so the relative
  // error is (h g'/g)^2 / 6 plus rounding 1e-16 g / (h g').
  for (const EntropicTime& table : tables()) {
    for (const double t : times_between(table, 997)) {
      constexpr double kStep = 1e-7;
      bool at_knot = false;
      for (const double knot : table.time_values()) {
        at_knot = at_knot || std::abs(t - knot) <= kStep;
      }
      if (at_knot) continue;
      const double slope = (table.snr(t - kStep) - table.snr(t + kStep)) / (2 * kStep);
      EXPECT_NEAR(table.snr_slope(t) / slope, 1, 1e-6) << t;
    }
  }
}

TEST(EntropicTime, SlopeAtAKnotIsTheOneTowardsLargerTimes) {
  const EntropicTime table = odd_table();
  for (const double knot : table.time_values()) {
    EXPECT_NEAR(table.snr_slope(knot) / table.snr_slope(knot + 1e-9), 1, 1e-6) << knot;
  }
}

TEST(EntropicTime, SignalNoiseAndKappaFollowFromSnr) {
  const EntropicTime table = EntropicTime::standard(16);
  std::vector<float> t, signal(3), kappa(3);
  for (const double x : {0.9, 0.5, 0.1}) {
    t.push_back(static_cast<float>(x));
    const double a = table.signal(x);
    EXPECT_NEAR(a / (1 - a), table.snr(x), 1e-12 * (1 + table.snr(x)));
    EXPECT_NEAR(a + table.noise(x), 1, 1e-15);
    EXPECT_NEAR(table.kappa(x), std::sqrt(a) / (1 - a), 1e-12 * (1 + table.kappa(x)));
  }
  table.signal(t, signal);
  table.kappa(t, kappa);
  for (size_t i = 0; i < t.size(); ++i) {
    EXPECT_EQ(signal[i], static_cast<float>(table.signal(static_cast<double>(t[i]))));
    EXPECT_EQ(kappa[i], static_cast<float>(table.kappa(static_cast<double>(t[i]))));
  }
}

TEST(EntropicTime, RefusesDamagedTables) {
  const auto refuses = [](std::vector<double> snr, std::vector<double> time) {
    EXPECT_THROW(EntropicTime(snr, time), Error)
        << ::testing::PrintToString(snr) << " " << ::testing::PrintToString(time);
  };
  EXPECT_NO_THROW(EntropicTime({0, 1}, {0.6, 0.5}));
  refuses({0}, {0.5});
  refuses({0, 1}, {0.6});
  refuses({1, 1}, {0.6, 0.5});
  refuses({0, 1}, {0.5, 0.5});
  refuses({0, 1}, {1.0, 0.5});
  refuses({0, 1}, {0.5, 0.0});
  refuses({0, std::nan("")}, {0.6, 0.5});
  refuses({0, 1}, {0.6, std::nan("")});
  refuses({0, 1000}, {0.6, 0.5});
}

TEST(EntropicTimeDeathTest, TimesOutsideTheRangeAreProgrammerErrors) {
  const EntropicTime table = odd_table();
  EXPECT_DEATH((void)table.snr(1.01), "internal check failed");
  EXPECT_DEATH((void)table.snr_slope(std::nan("")), "internal check failed");
  EXPECT_DEATH((void)table.time(-1), "internal check failed");
}

}  // namespace
}  // namespace evo::flow
