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
constexpr int64_t kFirstInterval = 24, kIntervalGrowth = 3, kLongestInterval = 768;  // in passes
// Passes of a trial; a pass of many sessions tells as much as several of one.
constexpr int64_t kTrialPasses = 3, kTrialPassesOfMany = 2;
constexpr double kMany = 4;

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

double Calibration::kept() const {
  const double expected = 1 - lenience_ * (1 - kPriorKept);
  return (of_late_.kept + kPriorWeight * expected) / (of_late_.seen + kPriorWeight);
}

void Calibration::learn(double maturity, bool kept) {
  constexpr double kMeanForgetting = 0.99;  // per draft: unlike what a maturity means, text changes
  Count& count = counts_[bin(maturity)];
  count = {count.seen + 1, count.kept + (kept ? 1 : 0)};
  of_late_ = {kMeanForgetting * of_late_.seen + 1,
              kMeanForgetting * of_late_.kept + (kept ? 1 : 0)};
}

DraftPolicy::Experience::Experience(double lenience) : calibration(lenience) {
  const double kept = 1 - lenience * (1 - kPriorKept);
  for (size_t j = 0; j < depths.size(); ++j) {
    const double reached = std::pow(kept, static_cast<double>(j));
    depths[j] = {kPriorWeight, kPriorWeight * reached, kPriorWeight * reached,
                 kPriorWeight * reached * kept};
  }
}

DraftPolicy::DraftPolicy(const PassCost& cost, double lenience, bool ahead)
    : cost_(&cost), can_draft_ahead_(ahead), from_window_(lenience), from_ahead_(lenience) {
  for (const Plan& plan :
       {Plan(), Plan{DraftSource::kAhead, 0}, Plan{DraftSource::kWindow, kTrialWindow}}) {
    ways_.push_back({plan, kFirstInterval, kFirstInterval});
  }
  choose_plan();
}

void DraftPolicy::Chain::add(const Depth& depth) {
  // A deeper draft cannot be kept more often; depths that were not tried yet know only the prior.
  proposed += last_proposed = std::min(last_proposed, depth.proposed / depth.possible);
  made += last_made = std::min(last_made, depth.made / depth.possible);
  kept += last_kept = std::min(last_kept, depth.kept / depth.possible);
}

double DraftPolicy::rate(const Plan& plan, const Chain& drafts) const {
  const double rows = 1 + drafts.made;
  const double multiple = plan.source == DraftSource::kNone ? plain_multiple_ : drafting_multiple_;
  return (1 + drafts.kept) /
         (multiple * (pass_seconds(rows + static_cast<double>(plan.window), rows) +
                      drafts.proposed * cost_->draft(plan.source, sessions_)));
}

void DraftPolicy::observe(double drafting, double multiple) {
  // Other programs disturb a pass now and then. A trial is short, so its passes weigh more.
  constexpr double kShare = 0.1, kShareInTrial = 0.3, kOutlier = 2;
  observed_ = true;
  if (drafting > 0 && drafting < 0.5) return;  // neither the one nor the other
  const bool planned = (drafting > 0) == (plan_.source != DraftSource::kNone);
  double& mean = drafting > 0 ? drafting_multiple_ : plain_multiple_;
  mean += (planned ? kShare : kShareInTrial) *
          (std::clamp(multiple, mean / kOutlier, mean * kOutlier) - mean);
}

double DraftPolicy::pass_seconds(double rows, double heads) const {
  return cost_->pass(sessions_ * rows, sessions_ * heads) / sessions_;
}

void DraftPolicy::share_passes(int64_t sessions) {
  if (sessions_ == static_cast<double>(sessions)) return;
  sessions_ = static_cast<double>(sessions);
  choose_plan();
}

void DraftPolicy::choose_plan() {
  const double plain = rate({}, {});
  plan_ = {};
  best_rate_ = plain;
  const auto consider = [&](const Plan& plan, const Chain& drafts) {
    const double own = rate(plan, drafts);
    if (own <= best_rate_ || own <= kWorthwhile * plain) return;
    best_rate_ = own;
    plan_ = plan;
  };
  if (can_draft_ahead_) {
    Chain all;
    for (const Depth& depth : from_ahead_.depths) all.add(depth);
    consider({DraftSource::kAhead, 0}, all);
  }
  // A window of W serves W - 1 drafts: its first token is the one that verification yields.
  Chain drafts;
  for (int64_t window = 2; window <= kLargestWindow; ++window) {
    drafts.add(from_window_.depths[static_cast<size_t>(window - 2)]);
    consider({DraftSource::kWindow, window}, drafts);
  }
}

double DraftPolicy::price_of_row(int64_t rows, DraftSource proposed) const {
  const auto n = static_cast<double>(rows);
  const double seconds = pass_seconds(n + 1, 2) - pass_seconds(n, 1);
  return best_rate_ * drafting_multiple_ * (seconds + cost_->draft(proposed, sessions_));
}

bool DraftPolicy::worth_proposing(double all_kept, int64_t rows, DraftSource source) const {
  if (trial_left_ > 0 && all_kept >= 1) return true;  // else nothing would be learnt
  return all_kept * calibration(source).kept() >= price_of_row(rows, source);
}

bool DraftPolicy::worth_verifying(double all_kept, int64_t rows) const {
  return all_kept >= price_of_row(rows, DraftSource::kNone);
}

void DraftPolicy::learn(const DraftOutcome& outcome, bool scout) {
  Experience& of_source = experience(outcome.source);
  const int64_t drafted = std::ssize(outcome.maturities), accepted = outcome.accepted;
  for (int64_t j = 0; j < std::min(drafted, accepted + 1); ++j) {
    of_source.calibration.learn(outcome.maturities[static_cast<size_t>(j)], j < accepted);
  }
  const double forgetting = std::pow(kForgetting, 1 / sessions_);  // all of a pass learn
  for (int64_t j = 0; j < std::min(outcome.possible, kLargestWindow); ++j) {
    Depth& depth = of_source.depths[static_cast<size_t>(j)];
    depth.possible = forgetting * depth.possible + 1;
    depth.proposed = forgetting * depth.proposed + (j < outcome.proposed ? 1 : 0);
    depth.made = forgetting * depth.made + (j < drafted ? 1 : 0);
    depth.kept = forgetting * depth.kept + (j < accepted ? 1 : 0);
  }
  if (!scout) return;  // once per pass is enough
  count_trial_pass();
  const DraftSource before = plan_.source;
  choose_plan();
  if (plan_.source == before) return;
  trial_left_ = 0;
  for (Way& way : ways_) {
    if (way.plan.source == plan_.source) way.interval = kFirstInterval;
    if (way.plan.source == before) way.until = way.interval;
  }
}

/// One pass nearer to the next trial of another way, or to the end of this one.
void DraftPolicy::count_trial_pass() {
  if (trial_left_ > 0) {
    if (--trial_left_ > 0) return;
    Way& tried = ways_[trial_];
    tried.until = tried.interval = std::min(kLongestInterval, kIntervalGrowth * tried.interval);
    return;
  }
  for (size_t i = 0; i < ways_.size(); ++i) {
    if (!can_try(ways_[i]) || --ways_[i].until > 0 || trial_left_ > 0) continue;
    trial_ = i;
    if (ways_[i].plan.source != DraftSource::kNone) {
      experience(ways_[i].plan.source).calibration.expect_anew();
    }
    trial_left_ = sessions_ < kMany ? kTrialPasses : kTrialPassesOfMany;
  }
}

/// Nothing is learnt from drafts that are not made, but what plain passes take can change as well.
bool DraftPolicy::can_try(const Way& way) const {
  return way.plan.source != plan_.source && (way.plan.source != DraftSource::kNone || observed_) &&
         (way.plan.source != DraftSource::kAhead || can_draft_ahead_);
}

}  // namespace evo
