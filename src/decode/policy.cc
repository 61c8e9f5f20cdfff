#include "decode/policy.h"

#include <algorithm>
#include <cmath>

namespace evo {
namespace {

// Before anything is learnt, a draft is kept with this probability, given those before it; a
// handful of passes outweigh it.
constexpr double kPriorKept = 0.6, kPriorWeight = 2;
constexpr double kForgetting = 0.96;  // per pass: text changes
constexpr double kWorthwhile = 1.03;  // gain below which drafting is not worth its risk
constexpr int64_t kFirstInterval = 24, kLongestInterval = 768;  // passes between trials

}  // namespace

size_t Calibration::bin(double maturity) {
  return std::min(kBins - 1, static_cast<size_t>(std::max(0.0, maturity) * kBins));
}

double Calibration::kept(double maturity) const {
  constexpr double kOwnWeight = 4;  // drafts that the head's own word counts for
  const Count& count = counts_[bin(maturity)];
  const double expected = 1 - lenience_ * (1 - maturity);
  return (count.kept + kOwnWeight * expected) / (count.seen + kOwnWeight);
}

void Calibration::learn(double maturity, bool kept) {
  Count& count = counts_[bin(maturity)];
  count.seen += 1;
  count.kept += kept ? 1 : 0;
}

DraftPolicy::DraftPolicy(const PassCost& cost, double lenience)
    : cost_(&cost),
      calibration_(lenience),
      trial_interval_(kFirstInterval),
      until_trial_(kFirstInterval) {
  const double kept = 1 - lenience * (1 - kPriorKept);
  for (size_t j = 0; j < depths_.size(); ++j) {
    const double reached = std::pow(kept, static_cast<double>(j));
    depths_[j] = {kPriorWeight, kPriorWeight * reached, kPriorWeight * reached * kept};
  }
  choose_window();
}

double DraftPolicy::rate(int64_t window) const {
  // A window of W serves W - 1 drafts: its first token is the one that verification yields.
  double made = 0, kept = 0, made_here = 1, kept_here = 1;
  for (int64_t j = 0; j + 1 < window; ++j) {
    const Depth& depth = depths_[static_cast<size_t>(j)];
    // A deeper draft cannot be kept more often; depths that were not tried yet know only the prior.
    made += made_here = std::min(made_here, depth.made / depth.possible);
    kept += kept_here = std::min(kept_here, depth.kept / depth.possible);
  }
  const double rows = 1 + made;
  const double multiple = window > 0 ? drafting_multiple_ : plain_multiple_;
  return (1 + kept) / (multiple * (pass_seconds(rows + static_cast<double>(window), rows) +
                                   made * cost_->draft()));
}

void DraftPolicy::observe(bool drafting, double multiple) {
  constexpr double kShare = 0.1, kOutlier = 2;  // other programs disturb a pass now and then
  double& mean = drafting ? drafting_multiple_ : plain_multiple_;
  mean += kShare * (std::clamp(multiple, mean / kOutlier, mean * kOutlier) - mean);
}

double DraftPolicy::pass_seconds(double rows, double heads) const {
  return cost_->pass(sessions_ * rows, sessions_ * heads) / sessions_;
}

void DraftPolicy::share_passes(int64_t sessions) {
  if (sessions_ == static_cast<double>(sessions)) return;
  sessions_ = static_cast<double>(sessions);
  choose_window();
}

void DraftPolicy::choose_window() {
  const double plain = rate(0);
  window_ = 0;
  best_rate_ = plain;
  for (int64_t window = 2; window <= kLargestWindow; ++window) {
    const double own = rate(window);
    if (own <= best_rate_ || own <= kWorthwhile * plain) continue;
    best_rate_ = own;
    window_ = window;
  }
}

bool DraftPolicy::worth_drafting(double all_kept, int64_t rows) const {
  const auto n = static_cast<double>(rows);
  const double price = pass_seconds(n + 1, 2) - pass_seconds(n, 1) + cost_->draft();
  return all_kept >= best_rate_ * drafting_multiple_ * price;
}

void DraftPolicy::learn(std::span<const float> maturities, int64_t accepted, int64_t possible,
                        bool scout) {
  const auto drafted = static_cast<int64_t>(maturities.size());
  for (int64_t j = 0; j < std::min(drafted, accepted + 1); ++j) {
    calibration_.learn(maturities[static_cast<size_t>(j)], j < accepted);
  }
  for (int64_t j = 0; j < std::min(possible, kLargestWindow); ++j) {
    Depth& depth = depths_[static_cast<size_t>(j)];
    depth.possible = kForgetting * depth.possible + 1;
    depth.made = kForgetting * depth.made + (j < drafted ? 1 : 0);
    depth.kept = kForgetting * depth.kept + (j < accepted ? 1 : 0);
  }
  if (window_ == 0 && scout) count_trial_pass();
  choose_window();
  if (window_ == 0) return;
  trial_left_ = 0;
  trial_interval_ = kFirstInterval;
  until_trial_ = kFirstInterval;
}

/// Without drafting: one pass nearer to the next trial or to the end of this one.
void DraftPolicy::count_trial_pass() {
  if (trial_left_ == 0) {
    if (--until_trial_ == 0) trial_left_ = kTrialPasses;
    return;
  }
  if (--trial_left_ > 0) return;
  until_trial_ = trial_interval_;
  trial_interval_ = std::min(kLongestInterval, 2 * trial_interval_);
}

}  // namespace evo
