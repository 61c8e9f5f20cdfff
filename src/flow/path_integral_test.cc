// The theory that the whole program rests on: autoregression and diffusion are two discretisations
// of one flow, so the functional L(path) is the entropy of the text for EVERY path if the
// denoiser is the exact posterior, the cross-entropy H(p, q) if it is the exact posterior of
// another distribution q, and above the entropy whenever it is wrong.
//
// Distributions are enumerated, so L is compared with exact numbers. The quadrature is unbiased
// (one random point per leg) and the martingale has mean zero; what remains is the statistical
// error, estimated from independent simulations, and the dependence between tokens that is left at
// the end of the path, which is at most the mean reconstruction term.
#include "flow/path_integral.h"

#include <functional>
#include <string>

#include "base/error.h"
#include "base/threads/parallel.h"
#include "flow/testing.h"

namespace evo::flow {
namespace {

using testing::expect_mean;
using testing::kSigmas;

constexpr int kLadderLevels = 40;
constexpr int kSimulations = 1000;
constexpr double kEndSnr = 300;  // codes 1 apart: P(confusion) < e^(-300 / 8)

/// All texts of n tokens with their probabilities.
struct Toy {
  int n, vocabulary, d;
  std::vector<double> codes;  // [V, d]
  std::vector<double> joint;  // [V^n], the last token fastest

  [[nodiscard]] size_t size() const { return static_cast<size_t>(vocabulary); }

  [[nodiscard]] std::vector<int> text(size_t index) const {
    std::vector<int> tokens(static_cast<size_t>(n));
    for (size_t i = tokens.size(); i-- > 0; index /= size()) {
      tokens[i] = static_cast<int>(index % size());
    }
    return tokens;
  }
};

Toy make_toy(int n, int vocabulary, int d, uint64_t seed) {
  const auto texts = static_cast<size_t>(std::llround(std::pow(vocabulary, n)));
  return {n, vocabulary, d, testing::random_codes(vocabulary, d, 1.0, seed),
          testing::random_distribution(texts, 1.5, seed)};
}

std::vector<Toy> toys() {
  return {make_toy(2, 5, 2, 1), make_toy(3, 4, 3, 2), make_toy(3, 5, 4, 3)};
}

/// The distribution of the reversed text.
std::vector<double> reversed(const Toy& toy) {
  std::vector<double> q(toy.joint.size());
  for (size_t index = 0; index < q.size(); ++index) {
    const std::vector<int> tokens = toy.text(index);
    size_t mirrored = 0;
    for (size_t i = tokens.size(); i-- > 0;) {
      mirrored = mirrored * toy.size() + static_cast<size_t>(tokens[i]);
    }
    q[index] = toy.joint[mirrored];
  }
  return q;
}

/// The product of the tokens' marginals: what is left when the context is ignored.
std::vector<double> without_context(const Toy& toy) {
  std::vector<double> marginals(static_cast<size_t>(toy.n) * toy.size());
  const auto slot = [&](size_t i, int token) -> double& {
    return marginals[i * toy.size() + static_cast<size_t>(token)];
  };
  std::vector<double> q(toy.joint.size(), 1.0);
  for (size_t index = 0; index < q.size(); ++index) {
    const std::vector<int> tokens = toy.text(index);
    for (size_t i = 0; i < tokens.size(); ++i) slot(i, tokens[i]) += toy.joint[index];
  }
  for (size_t index = 0; index < q.size(); ++index) {
    const std::vector<int> tokens = toy.text(index);
    for (size_t i = 0; i < tokens.size(); ++i) q[index] *= slot(i, tokens[i]);
  }
  return q;
}

/// The marginals of softmax(sharpness * (log q(w) + sum_i kappa_i z_i.c(w_i))): the exact
/// posterior under q if sharpness is 1.
class Enumeration {
 public:
  Enumeration(const Toy& toy, const std::vector<double>& q, double sharpness = 1)
      : toy_(toy), sharpness_(sharpness), texts_(q.size()), log_q_(q.size()) {
    for (size_t index = 0; index < q.size(); ++index) {
      texts_[index] = toy.text(index);
      log_q_[index] = std::log(q[index]);
    }
  }

  void operator()(std::span<const double> z, std::span<const double> snr,
                  std::span<double> posterior) const {
    const std::vector<double> scores = match(z, snr);
    std::vector<double> weights = log_q_;
    for (size_t index = 0; index < weights.size(); ++index) {
      for (size_t i = 0; i < snr.size(); ++i) weights[index] += scores[slot(i, index)];
      weights[index] *= sharpness_;
    }
    testing::normalise_logits(weights);
    std::fill(posterior.begin(), posterior.end(), 0.0);
    for (size_t index = 0; index < weights.size(); ++index) {
      for (size_t i = 0; i < snr.size(); ++i) posterior[slot(i, index)] += weights[index];
    }
  }

 private:
  [[nodiscard]] size_t slot(size_t i, size_t index) const {
    return i * toy_.size() + static_cast<size_t>(texts_[index][i]);
  }

  /// kappa_i z_i.c(v), [n, V].
  [[nodiscard]] std::vector<double> match(std::span<const double> z,
                                          std::span<const double> snr) const {
    const auto d = static_cast<size_t>(toy_.d);
    std::vector<double> scores(snr.size() * toy_.size());
    for (size_t i = 0; i < snr.size(); ++i) {
      const double kappa = std::sqrt(snr[i] * (1 + snr[i]));
      for (size_t v = 0; v < toy_.size(); ++v) {
        for (size_t k = 0; k < d; ++k) {
          scores[i * toy_.size() + v] += kappa * z[i * d + k] * toy_.codes[v * d + k];
        }
      }
    }
    return scores;
  }

  const Toy& toy_;
  double sharpness_;
  std::vector<std::vector<int>> texts_;
  std::vector<double> log_q_;
};

/// SNRs from 0 (not included) to `end`, evenly spaced in log(1 + g).
std::vector<double> levels(int count, double end = kEndSnr) {
  std::vector<double> snr(static_cast<size_t>(count));
  for (int k = 0; k < count; ++k) {
    snr[k] = std::expm1(std::log1p(end) * (k + 1) / count);
  }
  return snr;
}

/// The token that is surest of itself so far goes one level further, whatever its place.
Schedule surest_first(int n) {
  std::vector<size_t> reached(static_cast<size_t>(n), 0);
  return [reached, ladder = levels(kLadderLevels)](std::span<const double> posterior,
                                                   std::span<double> snr) mutable {
    const size_t vocabulary = posterior.size() / reached.size();
    size_t chosen = reached.size();
    double lowest = INFINITY;
    for (size_t i = 0; i < reached.size(); ++i) {
      const double h = testing::entropy(posterior.subspan(i * vocabulary, vocabulary));
      if (reached[i] == ladder.size() || h >= lowest) continue;
      lowest = h;
      chosen = i;
    }
    if (chosen == reached.size()) return false;
    snr[chosen] = ladder[reached[chosen]++];
    return true;
  };
}

struct NamedSchedule {
  std::string name;
  std::function<Schedule()> make;
};

std::vector<NamedSchedule> schedules(int n) {
  std::vector<NamedSchedule> all;
  for (const char* const name : {"ar", "diagonal", "block:2"}) {
    const Path path = parse_path(name);
    all.push_back({name, [=] { return fixed_schedule(path, n, levels(kLadderLevels)); }});
  }
  all.push_back({"surest first", [=] { return surest_first(n); }});
  return all;
}

double cross_entropy(std::span<const double> p, std::span<const double> q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum -= p[i] * std::log(q[i]);
  return sum;
}

struct Estimate {
  RunningMean bound;  ///< with the control variates
  RunningMean plain;  ///< flow + reconstruction
  RunningMean martingale;
  RunningMean reconstruction;
};

/// L(path) over texts drawn from the toy. A single path integral is nearly -log q(w), so the
/// difference is estimated and the exact mean of -log q(w), H(p, q), is added.
Estimate estimate(const Toy& toy, std::span<const double> q, const Denoiser& denoiser,
                  const std::function<Schedule()>& schedule, int simulations) {
  const double expected = cross_entropy(toy.joint, q);
  std::vector<size_t> texts(static_cast<size_t>(simulations));
  std::vector<PathIntegral> integrals(texts.size());
  parallel_items(simulations, [&](int64_t s) {
    const auto at = static_cast<size_t>(s);
    Random random(5, at);
    texts[at] = testing::draw(toy.joint, random);
    integrals[at] =
        integrate_path(toy.text(texts[at]), toy.codes, toy.d, denoiser, schedule(), random);
  });
  Estimate result;
  for (size_t s = 0; s < texts.size(); ++s) {
    const PathIntegral& integral = integrals[s];
    result.bound.add(integral.bound() + std::log(q[texts[s]]) + expected);
    result.plain.add(integral.flow + integral.reconstruction);
    result.martingale.add(integral.martingale);
    result.reconstruction.add(integral.reconstruction);
  }
  return result;
}

/// L(AR) with one categorical step per leg: -log p(w_i | z) with the tokens before i clean and
/// token i unseen, at g_i = 0.
double chain_rule_nll(const Toy& toy, const Denoiser& denoiser, std::span<const int> tokens,
                      Random& random) {
  const auto d = static_cast<size_t>(toy.d);
  const double a = kEndSnr / (1 + kEndSnr);
  std::vector<double> z(tokens.size() * d), snr(tokens.size(), 0.0);
  std::vector<double> posterior(tokens.size() * toy.size());
  for (double& x : z) x = static_cast<double>(random.normal());
  double nll = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto token = static_cast<size_t>(tokens[i]);
    denoiser(z, snr, posterior);
    nll -= std::log(posterior[i * toy.size() + token]);
    snr[i] = kEndSnr;
    for (size_t k = 0; k < d; ++k) {
      z[i * d + k] = std::sqrt(a) * toy.codes[token * d + k] + std::sqrt(1 - a) * z[i * d + k];
    }
  }
  return nll;
}

void expect_entropy_on_every_path(const Toy& toy, const std::vector<double>& q) {
  const double expected = cross_entropy(toy.joint, q);
  const Denoiser denoiser = Enumeration(toy, q);
  for (const NamedSchedule& schedule : schedules(toy.n)) {
    SCOPED_TRACE(fmt::format("n {} V {} path {}", toy.n, toy.vocabulary, schedule.name));
    const Estimate found = estimate(toy, q, denoiser, schedule.make, kSimulations);
    expect_mean(found.bound, expected, found.reconstruction.mean());
    expect_mean(found.plain, expected, found.reconstruction.mean());
    expect_mean(found.martingale, 0);
    EXPECT_LT(found.reconstruction.mean(), 1e-6);
    // The comparison is at least this sharp.
    EXPECT_LT(kSigmas * found.bound.standard_error(), 0.08 * expected);
  }
}

TEST(PathIntegral, EveryPathGivesTheEntropyUnderTheExactPosterior) {
  for (const Toy& toy : toys()) expect_entropy_on_every_path(toy, toy.joint);
}

TEST(PathIntegral, ChainRuleInOneStepPerTokenGivesTheEntropyToo) {
  for (const Toy& toy : toys()) {
    const Denoiser exact = Enumeration(toy, toy.joint);
    double nll = 0;
    Random random(6);
    for (size_t index = 0; index < toy.joint.size(); ++index) {
      nll += toy.joint[index] * chain_rule_nll(toy, exact, toy.text(index), random);
    }
    // Each text is exact but for confusions of clean codes, less likely than e^-37 each.
    EXPECT_NEAR(nll, testing::entropy(toy.joint), 1e-9);
  }
}

TEST(PathIntegral, WrongDistributionCostsItsDivergenceOnEveryPath) {
  const Toy toy = make_toy(3, 4, 3, 2);
  for (const std::vector<double>& q : {reversed(toy), without_context(toy)}) {
    EXPECT_GT(cross_entropy(toy.joint, q), 1.05 * testing::entropy(toy.joint));
    expect_entropy_on_every_path(toy, q);
  }
}

TEST(PathIntegral, TemperedPosteriorIsAboveTheEntropyOnEveryPath) {
  const Toy toy = make_toy(3, 4, 3, 2);
  const double h = testing::entropy(toy.joint);
  for (const double sharpness : {0.5, 2.0}) {
    for (const NamedSchedule& schedule : schedules(toy.n)) {
      SCOPED_TRACE(fmt::format("sharpness {} path {}", sharpness, schedule.name));
      const Denoiser wrong = Enumeration(toy, toy.joint, sharpness);
      const Estimate found = estimate(toy, toy.joint, wrong, schedule.make, kSimulations);
      EXPECT_GT(found.bound.mean() - kSigmas * found.bound.standard_error(), h);
    }
  }
}

TEST(PathIntegral, SingleSimulationApproachesTheLogLikelihood) {
  // Girsanov: with fine legs flow + martingale + reconstruction = -log p(w) path by path. A
  // quarter of the length leaves a quarter of the variance; its own estimate is good to 10 %.
  const Toy toy = make_toy(2, 5, 2, 1);
  const Denoiser exact = Enumeration(toy, toy.joint);
  const auto variance = [&](int legs) {
    const auto schedule = [&] {
      return fixed_schedule(parse_path("diagonal"), toy.n, levels(legs));
    };
    return estimate(toy, toy.joint, exact, schedule, 500).bound.variance();
  };
  const double coarse = variance(40);
  EXPECT_LT(variance(160), 0.35 * coarse);
  EXPECT_LT(variance(640), 0.1 * coarse);
}

TEST(FixedSchedule, VisitsTheLevelsGroupByGroup) {
  const auto corners = [](const char* path) {
    Schedule schedule = fixed_schedule(parse_path(path), 3, {1.0, 2.0});
    std::vector<std::vector<double>> seen;
    std::vector<double> snr(3, 0.0);
    while (schedule({}, snr)) seen.push_back(snr);
    return seen;
  };
  using Corners = std::vector<std::vector<double>>;
  EXPECT_EQ(corners("diagonal"), (Corners{{1, 1, 1}, {2, 2, 2}}));
  EXPECT_EQ(corners("block:2"), (Corners{{1, 1, 0}, {2, 2, 0}, {2, 2, 1}, {2, 2, 2}}));
  EXPECT_EQ(corners("ar"),
            (Corners{{1, 0, 0}, {2, 0, 0}, {2, 1, 0}, {2, 2, 0}, {2, 2, 1}, {2, 2, 2}}));
}

}  // namespace
}  // namespace evo::flow
