#include "decode/policy/pass_times.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"

namespace evo::decode {
namespace {

enum Number : size_t { kScale, kFewRows, kManyRows, kWindowStep, kAheadStep };

// What is believed before anything ran, and how little (deviations of logarithms). Small models
// draft ahead at a fifth of a pass, large ones at a fortieth.
constexpr CostRatios kFirstGuess{1e-3, 0.3 / 7, 0.9 / 8, 0.15, 0.15};
constexpr double kUnknownScale = 10, kDoubtedScale = 0.5, kUnknownRows = 1, kUnknownStep = 1;

// The first passes of a process find cold caches and untouched memory, and so do its first drafts
// and the first pass of every width.
constexpr int64_t kColdPasses = 2, kColdDrafts = 1;

// A pass is disturbed now and then, and then takes longer, never shorter.
constexpr double kMostSlower = 3, kMostFaster = 4;  // errors beyond so many deviations are cut off
constexpr double kFirstNoise = 0.1, kLeastNoise = 0.03, kMostNoise = 0.5, kNoiseShare = 0.05;
constexpr double kScaleDrift = 0.02, kShareDrift = 0.004;  // per pass

// Squared errors over what they should be; five in a row beyond two deviations are too many.
constexpr double kSurpriseShare = 0.2, kMostSurprise = 4, kTooSurprising = 3;

double square(double x) {
  return x * x;
}

}  // namespace

PassTimes::PassTimes() : noise_(square(kFirstNoise)), cost_(kFirstGuess), at_worst_(kFirstGuess) {
  logs_[kScale] = std::log(kFirstGuess.scale);
  covariance_[kScale][kScale] = square(kUnknownScale);
  forget_shares();
  update_costs();
}

void PassTimes::forget_shares() {
  const std::array guesses = {kFirstGuess.few_rows, kFirstGuess.many_rows, kFirstGuess.window_step,
                              kFirstGuess.ahead_step};
  for (size_t i = kFewRows; i < kNumbers; ++i) {
    logs_[i] = std::log(guesses[i - kFewRows]);
    for (size_t j = 0; j < kNumbers; ++j) covariance_[i][j] = covariance_[j][i] = 0;
    covariance_[i][i] = square(i < kWindowStep ? kUnknownRows : kUnknownStep);
  }
  // What was wrong has drawn the scale along.
  double& scale = covariance_[kScale][kScale];
  scale = std::max(scale, square(kDoubtedScale));
  surprise_ = 1;
}

CostRatios PassTimes::ratios(double deviations) const {
  const auto share = [&](Number i) {
    return std::exp(logs_[i] + deviations * std::sqrt(covariance_[i][i]));
  };
  return {std::exp(logs_[kScale]), share(kFewRows), share(kManyRows), share(kWindowStep),
          share(kAheadStep)};
}

void PassTimes::update_costs() {
  cost_ = PassCost(ratios());
  at_worst_ = PassCost(ratios(1));
}

void PassTimes::learn_plain(const PassRun& run) {
  constexpr int64_t kAllAtFirst = 32, kBetween = 4;
  if (++plain_passes_ <= kAllAtFirst || plain_passes_ % kBetween == 0) learn(run);
}

void PassTimes::learn(const PassRun& run) {
  int64_t& widest = met_[kFewRows];
  const auto rows = static_cast<int64_t>(run.rows);
  const bool met = rows <= widest;
  widest = std::max(widest, rows);
  if (++passes_ > kColdPasses && met) {
    covariance_[kScale][kScale] += square(kScaleDrift);
    for (size_t i = kFewRows; i < kNumbers; ++i) covariance_[i][i] += square(kShareDrift);
    learn_pass(run.seconds, run.rows, run.heads);
  }
  learn_steps(run.window_seconds, run.window_steps, kWindowStep);
  learn_steps(run.ahead_seconds, run.ahead_steps, kAheadStep);
  update_costs();
}

void PassTimes::learn_pass(double seconds, double rows, double heads) {
  const CostRatios now = ratios();
  const double expected = cost_.pass(rows, heads) / now.scale;
  // How much of the pass each kind of further row is.
  const auto share = [&](double n) { return std::min(n, CostRatios::kFewRows) - 1; };
  const auto rest = [&](double n) { return std::max(0.0, n - CostRatios::kFewRows); };
  const double few = now.few_rows * (0.9 * share(rows) + 0.1 * share(heads)) / expected;
  const double many = now.many_rows * (0.9 * rest(rows) + 0.1 * rest(heads)) / expected;
  take_in(seconds, logs_[kScale] + std::log(expected), {1, few, many, 0, 0});
}

void PassTimes::learn_steps(double seconds, double steps, size_t number) {
  if (!(steps > 0) || ++met_[number] <= kColdDrafts || passes_ <= kColdPasses) return;
  Row slope{1};
  slope[number] = 1;
  take_in(seconds, logs_[kScale] + logs_[number] + std::log(steps), slope);
}

void PassTimes::take_in(double seconds, double log_expected, const Row& slope) {
  if (!(seconds > 0 && std::isfinite(seconds))) return;
  Row gain{};
  double variance = noise_;
  for (size_t i = 0; i < kNumbers; ++i) {
    for (size_t j = 0; j < kNumbers; ++j) gain[i] += covariance_[i][j] * slope[j];
    variance += slope[i] * gain[i];
  }
  const double deviation = std::sqrt(variance);
  const double error = std::log(seconds) - log_expected;
  const double cut = std::clamp(error, -kMostFaster * deviation, kMostSlower * deviation);
  for (size_t i = 0; i < kNumbers; ++i) logs_[i] += gain[i] / variance * cut;
  for (size_t i = 0; i < kNumbers; ++i) {
    for (size_t j = 0; j < kNumbers; ++j) covariance_[i][j] -= gain[i] * gain[j] / variance;
  }
  const auto is_plain = [](double share) { return share == 0; };
  if (std::all_of(slope.begin() + kFewRows, slope.end(), is_plain)) {
    // The scale may be what it likes; what it does from pass to pass is noise, once it is known.
    const double others = variance - noise_;
    if (others < noise_) noise_ += kNoiseShare * (square(cut) - others - noise_);
    noise_ = std::clamp(noise_, square(kLeastNoise), square(kMostNoise));
    return;
  }
  surprise_ += kSurpriseShare * (std::min(kMostSurprise, square(error) / variance) - surprise_);
  if (surprise_ > kTooSurprising) forget_shares();
}

PassTimes::Known PassTimes::known() const {
  Known known{logs_, {}};
  for (size_t i = 0; i < kNumbers; ++i) known.deviations[i] = std::sqrt(covariance_[i][i]);
  return known;
}

void PassTimes::recall(const Known& known) {
  constexpr double kLargest = 20;  // of a logarithm: a scale of 2 ns to years
  for (size_t i = 0; i < kNumbers; ++i) {
    const double log = known.logs[i], deviation = known.deviations[i];
    if (!(std::abs(log) <= kLargest && deviation >= 0 && deviation <= kLargest)) {
      fail("times of passes: expected logarithms of at most {}, found {} +- {}", kLargest, log,
           deviation);
    }
  }
  constexpr double kSince = 0.1;  // the machine may have other work now
  for (size_t i = kFewRows; i < kNumbers; ++i) {
    logs_[i] = known.logs[i];
    covariance_[i][i] = std::min(square(known.deviations[i]) + square(kSince), covariance_[i][i]);
  }
  update_costs();
}

}  // namespace evo::decode
