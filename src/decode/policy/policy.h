// How many tokens a pass should evolve, and how far to draft: for the most tokens per second.
//
// A pass of cost c(W, K) with a window of W evolving tokens and K drafts yields 1 + A tokens, A of
// them accepted drafts. Drafts come from a window or, if the model can do that, are made ahead of
// the last mature token without one (W = 0). What A would be either way, and for every W, is learnt
// from the text as it grows; what has the best rate (1 + A) / c is done. Where drafts cannot pay,
// that is plain autoregressive decoding. Ways that are not taken get a short trial from time to
// time. A further token is proposed if what it promises, before its maturity is known, is worth
// more, at the current rate, than proposing and verifying it; then it is verified if that alone
// pays.
//
// A thrifty policy also keeps a budget, so that decoding never falls far behind plain passes,
// whatever it believes: drafts may cost more than they yield only as far as earlier ones have
// yielded more than they cost, and a percent or two of the time besides. It expects little at
// first.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "decode/policy/pass_times.h"

namespace evo::decode {

/// What really becomes of drafts of a given maturity: the head is trained on text, but what counts
/// is whether the autoregressive model would choose the same, which also depends on the sampler.
class Calibration {
 public:
  /// With lenience < 1, drafts are also kept that are wrong: at first, all but a share `lenience`
  /// of those are taken to be.
  explicit Calibration(double lenience = 1, double first_kept = kFirstKept)
      : lenience_(lenience), first_kept_(first_kept) {}
  [[nodiscard]] double kept(double maturity) const;  ///< probability
  [[nodiscard]] double kept() const;                 ///< of a draft of unknown maturity, of late
  void learn(double maturity, bool kept);
  void expect_anew() { of_late_ = {}; }  ///< of other text than of late

  /// A draft is taken to be kept with this probability, given those before it, until a handful of
  /// passes say otherwise.
  static constexpr double kFirstKept = 0.6;
  static constexpr size_t kBins = 10;
  struct Count {
    double seen = 0, kept = 0;
  };

 private:
  friend class DraftPolicy;
  [[nodiscard]] static size_t bin(double maturity);
  double lenience_, first_kept_;
  std::array<Count, kBins> counts_{};
  Count of_late_;
};

/// What became of a session's drafts in a pass.
struct DraftOutcome {
  DraftKind source = DraftKind::kNone;
  int64_t possible = 0;               ///< drafts that there could have been
  int64_t proposed = 0;               ///< tokens; all are drafts but perhaps the last
  std::span<const float> maturities;  ///< of the drafts
  int64_t accepted = 0;
  /// The last token proposed, if it was no draft: its maturity, and whether it was right after all.
  struct Refused {
    float maturity = 0;
    bool right = false;
  };
  std::optional<Refused> refused = {};
};

/// What drafts may still lose, in plain passes.
class DraftBudget {
 public:
  [[nodiscard]] double left() const { return passes_ < kPlain ? 0 : left_; }
  /// A pass that cost `cost` plain ones and yielded `tokens`, per session.
  void settle(double cost, double tokens) {
    ++passes_;
    left_ = std::min(kMost, left_ + kShare * cost + tokens - cost);
  }
  /// There is experience to go by.
  void trust() { left_ = std::max(left_, kTrust); }

 private:
  // The first passes are plain, and say what that takes. Gains are no credit beyond a few passes:
  // text that cannot be drafted may follow.
  static constexpr int64_t kPlain = 3;
  static constexpr double kShare = 0.02, kTrust = 0.3, kMost = 3;
  double left_ = 0;
  int64_t passes_ = 0;
};

class DraftPolicy {
 public:
  static constexpr int64_t kLargestWindow = 24;

  /// `cost` must outlive the policy. `lenience` of verification, see verify(). `ahead`: the model
  /// can draft without a window.
  explicit DraftPolicy(const PassCost& cost, double lenience = 1, bool ahead = false)
      : DraftPolicy(cost, cost, lenience, ahead, {}) {}
  /// A thrifty one, which needs settle() after every pass. `times` must outlive it.
  DraftPolicy(const PassTimes& times, bool ahead)
      : DraftPolicy(times.cost(), times.cost_at_worst(), 1, ahead, DraftBudget()) {}

  /// From now on passes are shared by so many sessions, which are taken to be alike.
  void share_passes(int64_t sessions);

  /// Evolving tokens for the coming pass. Of the sessions that share a pass, one is the scout: a
  /// trial of a window is its alone, since what it finds holds for all and a trial of all would be
  /// dear. In trials without windows all take part: what such a pass takes, only all can tell.
  [[nodiscard]] int64_t window(bool scout) const { return plan(scout).window; }
  /// Whether to draft ahead after the coming pass.
  [[nodiscard]] bool drafts_ahead(bool scout) const {
    return plan(scout).source == DraftKind::kAhead;
  }
  /// Whether to propose another token, if those before it are all kept with probability `all_kept`
  /// and the pass has so many rows.
  [[nodiscard]] bool worth_proposing(double all_kept, int64_t rows,
                                     DraftKind source = DraftKind::kWindow) const;
  /// Whether to verify the token that was proposed, now that `all_kept` is its probability as well.
  [[nodiscard]] bool worth_verifying(double all_kept, int64_t rows) const;
  [[nodiscard]] const Calibration& calibration(DraftKind source = DraftKind::kWindow) const {
    return experience(source).calibration;
  }

  /// After every pass of every session.
  void learn(const DraftOutcome& outcome, bool scout);

  /// A thrifty policy: after every pass, what it cost in plain passes, drafting included, and the
  /// tokens that it yielded per session.
  void settle(double cost, double tokens);

  /// What was learnt of the drafts of a source, for another process: numbers from 0 to 1e9.
  [[nodiscard]] std::vector<double> experience_of(DraftKind source) const;
  /// Begins with that, as with a few passes' experience. Throws Error if it cannot be such numbers.
  void recall(DraftKind source, std::span<const double> numbers);

 private:
  DraftPolicy(const PassCost& cost, const PassCost& at_worst, double lenience, bool ahead,
              std::optional<DraftBudget> budget);

  /// Of the j-th draft of a pass: how often there could be one, it was proposed, made, kept.
  struct Depth {
    double possible = 0, proposed = 0, made = 0, kept = 0;
  };
  /// What is expected of a pass's drafts.
  struct Chain {
    double proposed = 0, made = 0, kept = 0;
    double last_proposed = 1, last_made = 1, last_kept = 1;
    void add(const Depth& depth);  ///< another draft behind the others
  };
  struct Experience {  // with drafts of one source
    Experience(double lenience, double first_kept);
    void fade(double passes);  ///< what was learnt counts as so many passes at most
    Calibration calibration;
    std::array<Depth, kLargestWindow> depths;
    bool ran = false;  // in this process
  };
  struct Plan {
    DraftKind source = DraftKind::kNone;
    int64_t window = 0;
  };

  /// A way that is not taken, and when it will be tried: the rarer, the more often in vain.
  struct Way {
    Plan plan;
    int64_t interval, until;  // in passes
  };

  [[nodiscard]] const Plan& plan(bool scout) const {
    const Plan& tried = ways_[trial_].plan;
    return trial_left_ > 0 && (scout || tried.window == 0) ? tried : affordable_;
  }
  [[nodiscard]] const Experience& experience(DraftKind source) const {
    return source == DraftKind::kAhead ? from_ahead_ : from_window_;
  }
  [[nodiscard]] Experience& experience(DraftKind source) {
    return source == DraftKind::kAhead ? from_ahead_ : from_window_;
  }
  void choose_plan();
  void count_trial_pass();
  void choose_affordable();
  [[nodiscard]] int64_t trial_passes(const Way& way) const;
  void begin_trial(size_t way);
  void end_trial();
  [[nodiscard]] bool can_try(const Way& way) const;
  /// What a session may lose in so many passes by going this way for a draft, in plain ones.
  [[nodiscard]] double risk(const Plan& plan, int64_t passes) const;
  [[nodiscard]] bool can_lose(double passes) const { return !budget_ || passes <= budget_->left(); }
  /// With so many rows in the coming pass, by proposing another token.
  [[nodiscard]] bool can_propose(int64_t rows, DraftKind source) const;
  /// Tokens per second.
  [[nodiscard]] double rate(const Plan& plan, const Chain& drafts) const;

  /// Tokens that another row of a pass of so many must yield to pay, also for being `proposed`.
  [[nodiscard]] double price_of_row(int64_t rows, DraftKind proposed) const;
  /// This session's part of the time of a pass.
  [[nodiscard]] double pass_seconds(double rows, double heads) const {
    return pass_seconds(*cost_, rows, heads);
  }
  [[nodiscard]] double pass_seconds(const PassCost& cost, double rows, double heads) const;

  const PassCost* cost_;
  const PassCost* at_worst_;
  double sessions_ = 1;
  bool can_draft_ahead_;
  std::optional<DraftBudget> budget_;
  Experience from_window_, from_ahead_;
  Plan plan_;        // what promises most
  Plan affordable_;  // that, or nothing
  double best_rate_ = 0;
  int64_t plain_passes_ = 0;
  std::vector<Way> ways_;
  size_t trial_ = 0;         // the last one, of ways_
  int64_t trial_left_ = 0;   // passes
  bool trial_kept_ = false;  // a draft of it
};

}  // namespace evo::decode
