// A thrifty policy and what it learns of passes, on machines that exist on paper only: no clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "base/random.h"
#include "decode/policy/pass_times.h"
#include "decode/policy/policy.h"

namespace evo::decode {
namespace {

/// What passes really take.
struct Machine {
  CostRatios ratios{2e-3};
  double cold = 3;      ///< times as long: the first pass, and the first draft
  double noise = 0.05;  ///< deviation of the logarithm of a time
  double wider = 1.3;   ///< times as long: the first pass that is wider than all before
  bool ahead = true;    ///< the model can draft ahead
};

/// Texts whose drafts are kept with a probability, decoded side by side.
class Decoding {
 public:
  Decoding(const Machine& machine, int64_t sessions, uint64_t seed)
      : machine_(machine),
        cost_(machine.ratios),
        policy_(times_, machine.ahead),
        sessions_(sessions),
        random_(seed, 1) {}
  Decoding(const Decoding&) = delete;
  Decoding& operator=(const Decoding&) = delete;

  /// Time of the next `tokens` of every text over that of plain passes.
  double run(double kept, double tokens) {
    tokens_ = seconds_ = 0;
    drafted_at_ = -1;
    const auto count = static_cast<double>(sessions_);
    while (tokens_ < tokens * count) pass(kept);
    return seconds_ / (tokens_ / count * cost_.pass(count, count));
  }
  /// Token of the last run() at which the first draft was made; -1: none.
  [[nodiscard]] double first_draft() const { return drafted_at_; }
  DraftPolicy& policy() { return policy_; }
  PassTimes& times() { return times_; }

 private:
  struct Text {
    DraftKind source = DraftKind::kNone;
    int64_t pool = 0, proposed = 0, possible = 0;
    std::vector<float> drafts;
  };

  double disturbed(double seconds) {
    const double noise = machine_.noise;
    return seconds * std::exp(noise * random_.normal() - noise * noise / 2);  // 1 on average
  }

  void pass(double kept) {
    texts_.resize(sessions_);
    policy_.share_passes(sessions_);
    PassRun run;
    int64_t windows = 0, accepted_of_all = 0;
    for (size_t s = 0; s < texts_.size(); ++s) {
      window_[s == 0 ? 0 : 1] = policy_.window(s == 0);
      run.heads += 1 + static_cast<double>(texts_[s].drafts.size());
      windows += window_[s == 0 ? 0 : 1];
    }
    run.rows = run.heads + static_cast<double>(windows);
    const double cold = passes_++ == 0 ? machine_.cold : run.rows > widest_ ? machine_.wider : 1;
    run.seconds = disturbed(cost_.pass(run.rows, run.heads)) * cold;
    widest_ = std::max(widest_, run.rows);
    for (size_t s = 0; s < texts_.size(); ++s) {
      accepted_of_all += verify(texts_[s], kept, s == 0, window_[s == 0 ? 0 : 1]);
    }
    draft(kept, run);
    if (run.ahead_steps > 0) {
      run.ahead_seconds =
          disturbed(run.ahead_steps * cost_.draft(DraftKind::kAhead)) * first_of(ahead_drafts_);
    }
    if (run.window_steps > 0) {
      run.window_seconds =
          disturbed(run.window_steps * cost_.draft(DraftKind::kWindow)) * first_of(window_drafts_);
    }
    if (run.drafts() && drafted_at_ < 0) drafted_at_ = tokens_;
    times_.learn(run);
    const auto count = static_cast<double>(sessions_);
    const double plain = times_.cost().pass(count, count);
    const double yielded = static_cast<double>(accepted_of_all) / count + 1;
    const bool is_plain = !run.drafts() && run.rows == count;
    policy_.settle(is_plain ? 1 : run.total_seconds() / plain, yielded);
    seconds_ += run.total_seconds();
    tokens_ += count * yielded;
  }

  double first_of(bool& done) { return std::exchange(done, true) ? 1 : machine_.cold; }

  int64_t verify(Text& text, double kept, bool scout, int64_t window) {
    int64_t accepted = 0;
    while (accepted < std::ssize(text.drafts) && random_.uniform() < kept) ++accepted;
    policy_.learn({text.source, text.possible, text.proposed, text.drafts, accepted}, scout);
    text.pool = accepted == std::ssize(text.drafts) ? std::max<int64_t>(0, window - 1)
                                                    : text.pool - accepted - 1;
    text.drafts.clear();
    text.proposed = text.possible = 0;
    text.source = DraftKind::kNone;
    if (policy_.drafts_ahead(scout)) {
      text.pool = 0;
      text.source = DraftKind::kAhead;
      text.possible = DraftPolicy::kLargestWindow;
    } else if (text.pool > 0) {
      text.source = DraftKind::kWindow;
      text.possible = text.pool;
    }
    return accepted;
  }

  void draft(double kept, PassRun& run) {
    std::vector<double> all_kept(texts_.size(), 1);
    for (bool more = true; more;) {
      int64_t active = 0;
      for (size_t s = 0; s < texts_.size(); ++s)
        active += propose(texts_[s], kept, all_kept[s], run);
      if (active > 0) run.ahead_steps += CostRatios::ahead_steps(static_cast<double>(active));
      more = active > 0;
    }
  }

  /// 1 if it took part in a step ahead.
  int64_t propose(Text& text, double kept, double& all_kept, PassRun& run) {
    const bool ahead = text.source == DraftKind::kAhead;
    while (text.source != DraftKind::kNone && std::ssize(text.drafts) < text.possible) {
      const int64_t rows = 1 + std::ssize(text.drafts) + policy_.window(&text == &texts_[0]);
      if (!policy_.worth_proposing(all_kept, rows, text.source)) break;
      ++text.proposed;
      if (!ahead) run.window_steps += 1;
      all_kept *= policy_.calibration(text.source).kept(kept);
      if (policy_.worth_verifying(all_kept, rows)) {
        text.drafts.push_back(static_cast<float>(kept));
      } else {
        all_kept = 0;
      }
      if (ahead) return 1;
    }
    return 0;
  }

  Machine machine_;
  PassCost cost_;
  PassTimes times_;
  DraftPolicy policy_;
  int64_t sessions_;
  Random random_;
  std::vector<Text> texts_;
  std::array<int64_t, 2> window_{};
  int64_t passes_ = 0;
  double widest_ = 0;
  bool ahead_drafts_ = false, window_drafts_ = false;
  double tokens_ = 0, seconds_ = 0, drafted_at_ = -1;
};

Machine machine_of(double ahead_step, bool ahead = true) {
  Machine machine;
  machine.ratios.ahead_step = ahead_step;
  machine.ahead = ahead;
  return machine;
}

/// Time of the first `tokens` of a process over that of plain passes, whose first one is as cold:
/// the mean over some texts.
double cold(const Machine& machine, int64_t sessions, double kept, double tokens) {
  double sum = 0;
  constexpr int kTexts = 20;
  for (uint64_t seed = 1; seed <= kTexts; ++seed) {
    sum += Decoding(machine, sessions, seed).run(kept, tokens);
  }
  return sum / kTexts / (1 + (machine.cold - 1) / tokens);
}

/// The promise: from the first token of a process on, whatever drafts are worth and take.
TEST(ThriftyPolicy, UselessDraftsCostAtMostThreePercent) {
  for (const bool ahead : {true, false}) {
    for (const double step : {0.02, 0.1, 0.3}) {
      for (const int64_t sessions : {1, 3, 8}) {
        for (const double kept : {0.0, 0.1, 0.25}) {
          for (const double tokens : {16, 60, 256, 1000}) {
            const Machine machine = machine_of(step, ahead);
            EXPECT_LE(cold(machine, sessions, kept, tokens), 1.03)
                << ahead << " " << step << " " << sessions << " " << kept << " " << tokens;
          }
        }
      }
    }
  }
}

TEST(ThriftyPolicy, GoodDraftsGainInTheFirstText) {
  const Machine machine = machine_of(0.1);
  EXPECT_LE(cold(machine, 1, 0.8, 16), 1.03);
  EXPECT_LT(cold(machine, 1, 0.8, 60), 0.85);
  EXPECT_LT(cold(machine, 1, 0.8, 256), 0.6);
  Machine wide = machine;
  wide.ratios.few_rows = 0.03;
  wide.ratios.many_rows = 0.06;
  EXPECT_LT(cold(wide, 8, 0.9, 1000), 0.85);
  EXPECT_LT(cold(machine_of(0.1, false), 1, 0.9, 256), 0.8);  // from a window
}

/// It begins as ar: until drafts can be paid for, none are made.
TEST(ThriftyPolicy, TheFirstPassesArePlain) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Decoding decoding(machine_of(0.1), 1, seed);
    decoding.run(0.9, 100);
    EXPECT_GE(decoding.first_draft(), 16);
    EXPECT_LE(decoding.first_draft(), 40);
  }
}

/// A machine on which further rows are dear, as where products are bound by arithmetic.
TEST(ThriftyPolicy, FindsThatRowsAreDear) {
  Machine machine = machine_of(0.05);
  machine.ratios.few_rows = machine.ratios.many_rows = 0.5;
  for (const double tokens : {16, 60, 256, 1000}) {
    EXPECT_LE(cold(machine, 1, 0.8, tokens), 1.03) << tokens;
  }
}

/// Gains are not lost on text that cannot be drafted.
TEST(ThriftyPolicy, NoticesThatTextHasChanged) {
  double sum = 0;
  constexpr int kTexts = 20;
  for (uint64_t seed = 1; seed <= kTexts; ++seed) {
    Decoding decoding(machine_of(0.1), 1, seed);
    decoding.run(0.9, 400);
    sum += decoding.run(0.05, 200);
    decoding.run(0.05, 800);
    decoding.run(0.9, 200);
    EXPECT_LT(decoding.run(0.9, 200), 0.7) << seed;
  }
  EXPECT_LT(sum / kTexts, 1.05);
}

/// With the experience of another process drafts come at once, and are given up at once if they are
/// not what they were.
TEST(ThriftyPolicy, ExperienceOfAnotherProcessIsUsedAndDoubted) {
  const Machine machine = machine_of(0.15);
  Decoding teacher(machine, 1, 1);
  teacher.run(0.8, 2000);
  const auto begun = [&](double kept, double tokens) {
    double sum = 0;
    constexpr int kTexts = 20;
    for (uint64_t seed = 2; seed < 2 + kTexts; ++seed) {
      Decoding pupil(machine, 1, seed);
      pupil.times().recall(teacher.times().known());
      for (const DraftKind source : {DraftKind::kAhead, DraftKind::kWindow}) {
        pupil.policy().recall(source, teacher.policy().experience_of(source));
      }
      sum += pupil.run(kept, tokens);
    }
    return sum / kTexts / (1 + (machine.cold - 1) / tokens);
  };
  EXPECT_LT(begun(0.8, 16), 0.97);
  EXPECT_LT(begun(0.8, 60), 0.8);
  EXPECT_LT(begun(0, 60), 1.03);
  EXPECT_LT(begun(0, 256), 1.03);
}

/// A pass that takes long because of other programs is no reason to stop.
TEST(ThriftyPolicy, ANoisyMachineGainsAsWell) {
  Machine machine = machine_of(0.1);
  machine.noise = 0.3;
  EXPECT_LT(cold(machine, 1, 0.8, 256), 0.7);
  EXPECT_LE(cold(machine, 1, 0, 256), 1.03);
}

}  // namespace
}  // namespace evo::decode
