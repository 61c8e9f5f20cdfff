#include "decode/policy/policy.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"

namespace evo::decode {
namespace {

// What is expected before anything is learnt counts as so many passes.
constexpr double kFirstWeight = 2;
constexpr double kFirstKeptThrifty = 0.3;
constexpr double kForgetting = 0.96;  // per pass: text changes
constexpr double kWorthwhile = 1.03;  // gain below which drafting is not worth its risk

/// When ways are tried, in passes.
struct Trials {
  int64_t first, first_window;  // pass of the first one; of a window beside another way
  int64_t interval, longest;    // between two, at first and after many in vain
  double growth;
  int64_t window;
};
constexpr Trials kFreely{24, 24, 24, 768, 3, 6};
constexpr Trials kThriftily{3, 48, 8, 384, 1.5, 4};
// Passes of a trial; a pass of many sessions tells as much as several of one.
constexpr int64_t kTrialPasses = 3, kTrialPassesOfMany = 2;
constexpr double kMany = 4;
constexpr int64_t kWindowTrial = 2;  // of a thrifty policy: drafts come with the second pass
constexpr double kOldWeight = 5;     // passes that experience counts for when it is used again
constexpr int64_t kPlainBetweenPlans = 8;
// What the first draft of a process takes besides: its code, its weights and a pass of two rows are
// cold. Next to nothing, but for models whose passes take less.
constexpr double kFirstSeconds = 150e-6;

const Trials& trials(bool thrifty) {
  return thrifty ? kThriftily : kFreely;
}

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
  const double expected = 1 - lenience_ * (1 - first_kept_);
  return (of_late_.kept + kFirstWeight * expected) / (of_late_.seen + kFirstWeight);
}

void Calibration::learn(double maturity, bool kept) {
  constexpr double kMeanForgetting = 0.99;  // per draft: unlike what a maturity means, text changes
  Count& count = counts_[bin(maturity)];
  count = {count.seen + 1, count.kept + (kept ? 1 : 0)};
  of_late_ = {kMeanForgetting * of_late_.seen + 1,
              kMeanForgetting * of_late_.kept + (kept ? 1 : 0)};
}

DraftPolicy::Experience::Experience(double lenience, double first_kept)
    : calibration(lenience, first_kept) {
  const double kept = 1 - lenience * (1 - first_kept);
  for (size_t j = 0; j < depths.size(); ++j) {
    const double reached = std::pow(kept, static_cast<double>(j));
    depths[j] = {kFirstWeight, kFirstWeight * reached, kFirstWeight * reached,
                 kFirstWeight * reached * kept};
  }
}

DraftPolicy::DraftPolicy(const PassCost& cost, const PassCost& at_worst, double lenience,
                         bool ahead, std::optional<DraftBudget> budget)
    : cost_(&cost),
      at_worst_(&at_worst),
      can_draft_ahead_(ahead),
      budget_(budget),
      from_window_(lenience, budget_ ? kFirstKeptThrifty : Calibration::kFirstKept),
      from_ahead_(from_window_) {
  const Trials& times = trials(budget_.has_value());
  ways_ = {{{DraftKind::kAhead, 0}, times.interval, times.first},
           {{DraftKind::kWindow, times.window},
            ahead ? times.first_window : times.interval,
            ahead ? times.first_window : times.first}};
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
  return (1 + drafts.kept) / (pass_seconds(rows + static_cast<double>(plan.window), rows) +
                              drafts.proposed * cost_->draft(plan.source, sessions_));
}

double DraftPolicy::pass_seconds(const PassCost& cost, double rows, double heads) const {
  return cost.pass(sessions_ * rows, sessions_ * heads) / sessions_;
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
    consider({DraftKind::kAhead, 0}, all);
  }
  // A window of W serves W - 1 drafts: its first token is the one that verification yields.
  Chain drafts;
  for (int64_t window = 2; window <= kLargestWindow; ++window) {
    drafts.add(from_window_.depths[window - 2]);
    consider({DraftKind::kWindow, window}, drafts);
  }
  choose_affordable();
}

void DraftPolicy::choose_affordable() {
  affordable_ = can_lose(risk(plan_, 1)) ? plan_ : Plan();
}

void DraftPolicy::settle(double cost, double tokens) {
  EVO_CHECK(budget_.has_value());
  budget_->settle(cost, tokens);
  choose_affordable();
}

double DraftPolicy::risk(const Plan& plan, int64_t passes) const {
  if (plan.source == DraftKind::kNone) return 0;
  const auto seconds = [&](double rows, double heads) {
    return pass_seconds(*at_worst_, rows, heads);
  };
  const double plain = seconds(1, 1);
  const double with_window = seconds(1 + static_cast<double>(plan.window), 1);
  double draft = seconds(2, 2) - plain + at_worst_->draft(plan.source, sessions_);
  if (!experience(plan.source).ran) draft += kFirstSeconds;
  return (static_cast<double>(passes) * (with_window - plain) + draft) / plain;
}

bool DraftPolicy::can_propose(int64_t rows, DraftKind source) const {
  const auto n = static_cast<double>(rows);
  const int64_t window = source == DraftKind::kWindow ? plan(true).window : 0;
  const double proposed = std::max(1.0, n - static_cast<double>(window));
  const double plain = pass_seconds(*at_worst_, 1, 1);
  const double draft = at_worst_->draft(source, sessions_);
  const double rows_more = pass_seconds(*at_worst_, n + 1, n + 1) - plain;
  return can_lose((rows_more + proposed * draft) / plain);
}

double DraftPolicy::price_of_row(int64_t rows, DraftKind proposed) const {
  const auto n = static_cast<double>(rows);
  const double seconds = pass_seconds(n + 1, 2) - pass_seconds(n, 1);
  return best_rate_ * (seconds + cost_->draft(proposed, sessions_));
}

bool DraftPolicy::worth_proposing(double all_kept, int64_t rows, DraftKind source) const {
  if (trial_left_ > 0 && all_kept >= 1) return true;  // else nothing would be learnt
  if (!can_propose(rows, source)) return false;
  return all_kept * calibration(source).kept() >= price_of_row(rows, source);
}

bool DraftPolicy::worth_verifying(double all_kept, int64_t rows) const {
  return all_kept >= price_of_row(rows, DraftKind::kNone);
}

void DraftPolicy::learn(const DraftOutcome& outcome, bool scout) {
  Experience& of_source = experience(outcome.source);
  of_source.ran = of_source.ran || outcome.source != DraftKind::kNone;
  const int64_t drafted = std::ssize(outcome.maturities), accepted = outcome.accepted;
  for (int64_t j = 0; j < std::min(drafted, accepted + 1); ++j) {
    of_source.calibration.learn(outcome.maturities[j], j < accepted);
  }
  if (outcome.refused && budget_ && accepted == drafted) {
    of_source.calibration.learn(outcome.refused->maturity, outcome.refused->right);
  }
  // All of a pass learn.
  const double forgetting = outcome.possible > 0 ? std::pow(kForgetting, 1 / sessions_) : 1;
  for (int64_t j = 0; j < std::min(outcome.possible, kLargestWindow); ++j) {
    Depth& depth = of_source.depths[j];
    depth.possible = forgetting * depth.possible + 1;
    depth.proposed = forgetting * depth.proposed + (j < outcome.proposed ? 1 : 0);
    depth.made = forgetting * depth.made + (j < drafted ? 1 : 0);
    depth.kept = forgetting * depth.kept + (j < accepted ? 1 : 0);
  }
  if (trial_left_ > 0 && accepted > 0) trial_kept_ = true;
  if (!scout) return;  // once per pass is enough
  const bool is_plain = trial_left_ == 0 && plan_.source == DraftKind::kNone;
  count_trial_pass();
  // Plain passes say little that is new, and those of small models take less than 0.1 ms.
  if (is_plain && trial_left_ == 0 && ++plain_passes_ % kPlainBetweenPlans != 0) return;
  const DraftKind before = plan_.source;
  choose_plan();
  if (plan_.source == before) return;
  trial_left_ = 0;
  for (Way& way : ways_) {
    if (way.plan.source == plan_.source) way.interval = trials(budget_.has_value()).interval;
    if (way.plan.source == before) way.until = way.interval;
  }
}

/// One pass nearer to the next trial of another way, or to the end of this one.
void DraftPolicy::count_trial_pass() {
  if (trial_left_ > 0) {
    if (--trial_left_ == 0) end_trial();
    return;
  }
  for (size_t i = 0; i < ways_.size(); ++i) {
    if (!can_try(ways_[i]) || --ways_[i].until > 0 || trial_left_ > 0) continue;
    if (can_lose(risk(ways_[i].plan, trial_passes(ways_[i])))) begin_trial(i);
  }
}

int64_t DraftPolicy::trial_passes(const Way& way) const {
  if (budget_) return way.plan.window > 0 ? kWindowTrial : 1;
  return sessions_ < kMany ? kTrialPasses : kTrialPassesOfMany;
}

void DraftPolicy::begin_trial(size_t way) {
  trial_ = way;
  trial_kept_ = false;
  trial_left_ = trial_passes(ways_[way]);
  Experience& experience = this->experience(ways_[way].plan.source);
  experience.calibration.expect_anew();
  if (budget_) experience.fade(kOldWeight);
}

/// After a trial in vain the next one is rarer. Where nothing drafts, one that gave a draft goes on
/// as soon as it may.
void DraftPolicy::end_trial() {
  const Trials& times = trials(budget_.has_value());
  const bool plain = plan_.source == DraftKind::kNone;
  Way& tried = ways_[trial_];
  if (budget_ && plain && trial_kept_) {
    tried.interval = times.interval;
    tried.until = 1;
    return;
  }
  const double growth = plain ? times.growth : kFreely.growth;
  const auto longer = std::llround(growth * static_cast<double>(tried.interval));
  tried.until = tried.interval = std::min<int64_t>(times.longest, longer);
}

/// Nothing is learnt from drafts that are not made.
bool DraftPolicy::can_try(const Way& way) const {
  return way.plan.source != plan_.source &&
         (way.plan.source != DraftKind::kAhead || can_draft_ahead_);
}

void DraftPolicy::Experience::fade(double passes) {
  for (Depth& depth : depths) {
    const double share = std::min(1.0, passes / depth.possible);
    depth = {share * depth.possible, share * depth.proposed, share * depth.made,
             share * depth.kept};
  }
}

std::vector<double> DraftPolicy::experience_of(DraftKind source) const {
  const Experience& known = experience(source);
  std::vector<double> numbers;
  for (const Way& way : ways_) {
    if (way.plan.source == source) numbers.push_back(static_cast<double>(way.interval));
  }
  for (const Depth& depth : known.depths) {
    numbers.insert(numbers.end(), {depth.possible, depth.proposed, depth.made, depth.kept});
  }
  for (const Calibration::Count& count : known.calibration.counts_) {
    numbers.insert(numbers.end(), {count.seen, count.kept});
  }
  return numbers;
}

void DraftPolicy::recall(DraftKind source, std::span<const double> numbers) {
  constexpr double kMost = 1e9, kOldDrafts = 20;
  Experience& known = experience(source);
  if (numbers.size() != 1 + 4 * known.depths.size() + 2 * Calibration::kBins) {
    fail("experience with drafts: expected another number of numbers than {}", numbers.size());
  }
  const auto falling = [](std::span<const double> n) {
    return n[0] <= kMost && std::ranges::is_sorted(n, std::greater()) && n.back() >= 0;
  };
  Experience read = known;
  size_t at = 1;
  bool sound = numbers[0] >= 1 && numbers[0] <= static_cast<double>(kThriftily.longest);
  for (Depth& depth : read.depths) {
    const auto four = numbers.subspan(at, 4);
    depth = {four[0], four[1], four[2], four[3]};
    sound = sound && falling(four) && four[0] > 0;
    at += 4;
  }
  for (Calibration::Count& count : read.calibration.counts_) {
    const auto two = numbers.subspan(at, 2);
    const double share = std::min(1.0, kOldDrafts / std::max(1.0, two[0]));
    count = {share * two[0], share * two[1]};
    sound = sound && falling(two);
    at += 2;
  }
  if (!sound) fail("experience with drafts: these numbers cannot be counts");
  read.fade(kOldWeight);
  known = read;
  for (Way& way : ways_) {
    if (way.plan.source == source) way.interval = std::llround(numbers[0]);
    if (way.plan.source == source) way.until = way.interval;
  }
  if (budget_) budget_->trust();
  choose_plan();
}

}  // namespace evo::decode
