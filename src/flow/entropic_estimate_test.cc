#include "flow/entropic_time.h"

#include <string>

#include "base/error.h"
#include "base/threads/parallel.h"
#include "flow/testing.h"

namespace evo::flow {
namespace {

using testing::expect_mean;
using testing::kSigmas;

/// A source in two dimensions, where H(w | z) and the mean squared error are integrals that the
/// trapezoidal rule gives to rounding error.
struct Plane {
  std::vector<double> codes = testing::random_codes(5, 2, 1.0, 8);
  std::vector<double> prior = testing::random_distribution(5, 1.0, 8);

  struct Exact {
    double entropy = 0;  ///< H(w | z at g)
    double mmse = 0;     ///< E |c - E[c | z]|^2
  };

  [[nodiscard]] Exact at(double g) const {
    constexpr double kStep = 0.2;  // of sqrt(g) c + e; the integrand is analytic and decays fast
    const int reach = static_cast<int>((std::sqrt(2 * g) + 9) / kStep);
    Exact sum;
    for (int i = -reach; i <= reach; ++i) {
      for (int j = -reach; j <= reach; ++j) add(g, i * kStep, j * kStep, kStep * kStep, sum);
    }
    return sum;
  }

 private:
  void add(double g, double x, double y, double area, Exact& sum) const {
    double joint[5];  // density of (v, point)
    double density = 0, mean_x = 0, mean_y = 0;
    for (size_t v = 0; v < prior.size(); ++v) {
      const double dx = x - std::sqrt(g) * codes[2 * v];
      const double dy = y - std::sqrt(g) * codes[2 * v + 1];
      joint[v] = prior[v] * std::exp(-0.5 * (dx * dx + dy * dy)) / (2 * M_PI);
      density += joint[v];
      mean_x += joint[v] * codes[2 * v];
      mean_y += joint[v] * codes[2 * v + 1];
    }
    if (density < 1e-200) return;
    for (const double p : joint) {
      if (p > 0) sum.entropy -= area * p * std::log(p / density);
    }
    // |c|^2 = 2 for every code, so the error is what the mean lacks of that.
    sum.mmse += area * (2 * density - (mean_x * mean_x + mean_y * mean_y) / density);
  }
};

TEST(EntropicEstimate, InformationAndErrorObeyTheIMmseRelation) {
  const Plane plane;
  EXPECT_NEAR(plane.at(1e-12).entropy, testing::entropy(plane.prior), 1e-9);
  for (const double g : {0.05, 0.3, 1.0, 3.0}) {
    // Fourth-order difference: error (h / g)^4 / 30 of a fifth derivative of order H.
    const double h = 0.02 * g;
    const auto entropy = [&](double x) { return plane.at(x).entropy; };
    const double slope =
        (8 * (entropy(g + h) - entropy(g - h)) - (entropy(g + 2 * h) - entropy(g - 2 * h))) /
        (12 * h);
    EXPECT_NEAR(slope, -0.5 * plane.at(g).mmse, 1e-6) << g;
  }
}

EntropicTime estimate(const Plane& plane, const EntropicTimeOptions& options) {
  return estimate_entropic_time(testing::to_float(plane.codes), 2, testing::to_float(plane.prior),
                                options);
}

TEST(EntropicEstimate, AgreesWithTheExactCurveAndItsSlope) {
  // Over independent seeds, against the exact curve at the estimate's own knots. Bias allowed: the
  // mixture that makes the table strictly monotone, 1e-6 per knot, and f32 logits.
  constexpr double kBias = 1e-4;
  const Plane plane;
  const double h = testing::entropy(plane.prior);
  constexpr size_t kKnots[] = {36, 48}, kSteps = 4;
  RunningMean value[2], drop[2];
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const EntropicTime table = estimate(plane, {.samples = 256, .seed = seed});
    for (size_t i = 0; i < 2; ++i) {
      const size_t from = kKnots[i], to = from + kSteps;
      const double g = std::exp(table.log_snr()[from]), next = std::exp(table.log_snr()[to]);
      const Plane::Exact here = plane.at(g);
      value[i].add(table.time_values()[from] - here.entropy / h);
      // I-MMSE over a few steps by Simpson's rule: error (log step)^4 / 180, some 1e-5.
      const double information =
          (next - g) / 12 * (here.mmse + 4 * plane.at(0.5 * (g + next)).mmse + plane.at(next).mmse);
      drop[i].add(table.time_values()[from] - table.time_values()[to] - information / h);
    }
  }
  for (size_t i = 0; i < 2; ++i) {
    SCOPED_TRACE(kKnots[i]);
    expect_mean(value[i], 0, kBias);
    expect_mean(drop[i], 0, kBias);
    EXPECT_LT(kSigmas * value[i].standard_error(), 0.02);
    EXPECT_LT(kSigmas * drop[i].standard_error(), 0.01);
  }
}

TEST(EntropicEstimate, RunsFromNoiseToCleanCodes) {
  const Plane plane;
  const EntropicTime table = estimate(plane, {.knots = 24, .samples = 2000});
  EXPECT_EQ(table.time_values().size(), 24u);
  EXPECT_NEAR(table.time_values().front(), 0.999, 1e-4);
  EXPECT_LT(table.min_time(), 1.1e-3);
  EXPECT_GT(table.min_time(), 1e-4);
  // The first knot is placed by an expansion, not by sampling.
  const double first = std::exp(table.log_snr().front());
  EXPECT_NEAR(1 - plane.at(first).entropy / testing::entropy(plane.prior), 1e-3, 1e-5);
}

TEST(EntropicEstimate, DependsOnTheSeedButNotOnTheThreads) {
  const Plane plane;
  const int kept = threads();
  set_threads(1);
  const EntropicTime one = estimate(plane, {.samples = 64});
  set_threads(3);
  const EntropicTime three = estimate(plane, {.samples = 64});
  set_threads(kept);
  EXPECT_EQ(one.time_values(), three.time_values());
  EXPECT_EQ(one.log_snr(), three.log_snr());
  EXPECT_NE(one.time_values(), estimate(plane, {.samples = 64, .seed = 2}).time_values());
}

TEST(EntropicEstimate, SurvivesRoundingToSinglePrecision) {
  const EntropicTime table = estimate(Plane{}, {});
  const auto rounded = [](const std::vector<double>& values) {
    const std::vector<float> single = testing::to_float(values);
    return std::vector<double>(single.begin(), single.end());
  };
  EXPECT_NO_THROW(EntropicTime(rounded(table.log_snr()), rounded(table.time_values())));
}

TEST(EntropicEstimate, IsMonotoneHoweverFewTheSamples) {
  // 500 knots over twins that hide information at every SNR in reach: a curve that is flat but for
  // rounding and sampling noise. The constructor of the table throws unless every knot falls.
  const float tiny = 1e-3f;
  const std::vector<float> codes = {1, 1, 1 + tiny, 1 - tiny, -1, 1, -1, -1};
  const std::vector<float> unigram = {0.4f, 0.4f, 0.15f, 0.05f};
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const EntropicTime table =
        estimate_entropic_time(codes, 2, unigram, {.knots = 500, .samples = 2, .seed = seed});
    const std::vector<double>& time = table.time_values();
    for (size_t k = 1; k < time.size(); ++k) EXPECT_GT(time[k - 1] - time[k], 0.99e-6) << k;
  }
}

TEST(EntropicEstimate, StandardTableIsARoughMatch) {
  // Codes spread over the sphere, Zipf's law over 2000 tokens: H = 6.1 nats, where the standard
  // table assumes 6.5. It promises a start, within a tenth of the range.
  constexpr int kVocabulary = 2000;
  std::vector<double> unigram;
  double total = 0;
  for (int v = 0; v < kVocabulary; ++v) total += unigram.emplace_back(1 / (v + 2.7));
  for (double& u : unigram) u /= total;
  for (const int d : {16, 64}) {
    const EntropicTime standard = EntropicTime::standard(d);
    const EntropicTime found =
        estimate_entropic_time(testing::to_float(testing::random_codes(kVocabulary, d, 0, 9)), d,
                               testing::to_float(unigram), {.knots = 24, .samples = 128});
    for (size_t k = 0; k < found.time_values().size(); ++k) {
      EXPECT_NEAR(standard.time(std::exp(found.log_snr()[k])), found.time_values()[k], 0.1) << d;
    }
  }
}

TEST(EntropicEstimate, NearlyEqualCodesEndTheTableAtItsLimit) {
  const float tiny = 1e-3f;
  const std::vector<float> codes = {1, 1, 1 + tiny, 1 - tiny, -1, 1};
  const std::vector<float> unigram = {0.4f, 0.4f, 0.2f};
  const EntropicTime table = estimate_entropic_time(codes, 2, unigram, {.max_log_snr = 6});
  EXPECT_EQ(table.log_snr().back(), 6);
  // What the twins hide is log 2 of H(w) on 0.8 of the draws, to one of the 256 tokens drawn;
  // e^6 |difference|^2 / 8 = 4e-4 of it is resolved.
  const double h = testing::entropy(std::vector<double>{0.4, 0.4, 0.2});
  EXPECT_NEAR(table.min_time(), 0.8 * std::log(2) / h, 5e-3);
}

TEST(EntropicEstimate, RefusesCodesThatHideInformation) {
  const std::vector<float> codes = {1, 1, 1, -1, 1, 1};
  try {
    estimate_entropic_time(codes, 2, std::vector<float>{0.4f, 0.4f, 0.2f});
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("such as 0 and 2"), std::string::npos) << error.what();
  }
  // Unused twins do no harm.
  EXPECT_NO_THROW(estimate_entropic_time(codes, 2, std::vector<float>{0.5f, 0.5f, 0.0f}));
  EXPECT_NO_THROW(estimate_entropic_time(codes, 2, std::vector<float>{0.5f, 0.5f, 1e-9f}));
}

TEST(EntropicEstimate, RefusesBadInput) {
  const std::vector<float> codes = {1, 1, 1, -1};
  const auto refuses = [](const std::vector<float>& c, const std::vector<float>& u) {
    EXPECT_THROW(estimate_entropic_time(c, 2, u), Error)
        << ::testing::PrintToString(c) << " " << ::testing::PrintToString(u);
  };
  EXPECT_NO_THROW(estimate_entropic_time(codes, 2, std::vector<float>{0.5f, 0.5f}));
  refuses(codes, {0.5f, 0.6f});
  refuses(codes, {1.0f, 0.0f});
  refuses(codes, {1.5f, -0.5f});
  refuses(codes, {NAN, 0.5f});
  refuses({1, 1, 1, -2}, {0.5f, 0.5f});
  refuses({1, 1, NAN, -1}, {0.5f, 0.5f});
}

}  // namespace
}  // namespace evo::flow
