#include "decode/policy/policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "base/random.h"

namespace evo::decode {
namespace {

const PassCost& nominal() {
  static const PassCost cost = PassCost::nominal();
  return cost;
}

struct Decoded {
  double tokens = 0, seconds = 0, plain_seconds = 0;
  [[nodiscard]] double speed_up() const { return tokens / seconds * plain_seconds / tokens; }
};

/// The maturities of the drafts that a policy makes of proposals of one maturity, `pool` at most.
std::vector<float> drafts_of(const DraftPolicy& policy, double maturity, int64_t pool,
                             DraftKind source = DraftKind::kWindow) {
  std::vector<float> maturities;
  double all_kept = 1;
  while (std::ssize(maturities) < pool) {
    const int64_t rows = 1 + std::ssize(maturities) + policy.window(true);
    if (!policy.worth_proposing(all_kept, rows, source)) break;
    all_kept *= policy.calibration(source).kept(maturity);
    if (!policy.worth_verifying(all_kept, rows)) break;
    maturities.push_back(static_cast<float>(maturity));
  }
  return maturities;
}

/// A text each of whose drafts is kept with probability `kept`, decoded for `passes` passes.
Decoded decode(DraftPolicy& policy, const PassCost& cost, double kept, int passes, Random& random) {
  Decoded run;
  int64_t pool = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const int64_t window = policy.window(true);
    const std::vector<float> maturities = drafts_of(policy, kept, pool);
    const auto drafted = static_cast<double>(maturities.size());
    int64_t accepted = 0;
    while (accepted < std::ssize(maturities) && random.uniform() < kept) ++accepted;
    policy.learn({DraftKind::kWindow, pool, std::ssize(maturities), maturities, accepted}, true);
    run.tokens += 1 + static_cast<double>(accepted);
    run.seconds += cost.pass(1 + drafted + static_cast<double>(window), 1 + drafted) +
                   drafted * cost.draft(DraftKind::kWindow);
    pool =
        accepted == std::ssize(maturities) ? std::max<int64_t>(0, window - 1) : pool - accepted - 1;
  }
  run.plain_seconds = run.tokens * cost.pass(1, 1);
  return run;
}

/// The speed-up of the best window of fixed size, all of it drafted.
double best_fixed(const PassCost& cost, double kept) {
  double best = 1;
  for (int drafts = 1; drafts <= 20; ++drafts) {
    double tokens = 1, all_kept = 1;
    for (int j = 0; j < drafts; ++j) tokens += all_kept *= kept;
    const double price =
        cost.pass(1 + 2 * drafts + 1, 1 + drafts) + drafts * cost.draft(DraftKind::kWindow);
    best = std::max(best, tokens / price * cost.pass(1, 1));
  }
  return best;
}

TEST(DraftPolicy, FindsHowFarToDraft) {
  double last = 0;
  for (double kept : {0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99}) {
    Random random(1, 1);
    DraftPolicy policy(nominal());
    decode(policy, nominal(), kept, 100, random);
    const double speed_up = decode(policy, nominal(), kept, 3000, random).speed_up();
    // A real run has fewer drafts after a rejection than best_fixed() reckons with.
    EXPECT_GT(speed_up, 0.88 * best_fixed(nominal(), kept)) << kept;
    EXPECT_GT(speed_up, 0.98 * last) << kept;
    last = speed_up;
  }
  EXPECT_GT(last, 2);
}

/// The promise: where drafts are useless, decoding is as fast as without but for rare trials.
TEST(DraftPolicy, UselessDraftsCostLittle) {
  for (double kept : {0.0, 0.05}) {
    Random random(1, 2);
    DraftPolicy policy(nominal());
    EXPECT_GT(decode(policy, nominal(), kept, 256, random).speed_up(), 0.97) << kept;
    EXPECT_GT(decode(policy, nominal(), kept, 5000, random).speed_up(), 0.99) << kept;
    EXPECT_EQ(policy.window(true), 0);
  }
}

/// Text that nobody could draft is no reason not to draft the text after it.
TEST(DraftPolicy, TriesAgainWhenTextChanges) {
  Random random(1, 4);
  DraftPolicy policy(nominal());
  const float maturity[] = {0.02f};
  for (int pass = 0; pass < 300; ++pass) {
    policy.learn({DraftKind::kWindow, DraftPolicy::kLargestWindow, 1, maturity, 0}, true);
  }
  decode(policy, nominal(), 0.9, 1000, random);
  EXPECT_GT(decode(policy, nominal(), 0.9, 500, random).speed_up(), 1.5);
}

/// A pass that many sessions share is wide already: further rows cost their full price.
TEST(DraftPolicy, DraftsLessInSharedPasses) {
  int64_t windows[2] = {};
  for (int64_t sessions : {1, 8}) {
    Random random(1, 5);
    DraftPolicy policy(nominal());
    policy.share_passes(sessions);
    decode(policy, nominal(), 0.7, 300, random);
    for (int i = 0; i < 100; ++i) {
      decode(policy, nominal(), 0.7, 1, random);
      windows[sessions / 8] += policy.window(true);
    }
  }
  EXPECT_GT(windows[0], 200);
  EXPECT_LT(windows[1], windows[0] / 4);
}

/// Where drafting does not pay, trials are the scout's alone: the other sessions never draft.
TEST(DraftPolicy, OnlyTheScoutMakesTrials) {
  DraftPolicy policy(nominal());
  policy.share_passes(8);
  int64_t trials = 0;
  for (int pass = 0; pass < 500; ++pass) {
    EXPECT_EQ(policy.window(false), 0);
    const int64_t pool = policy.window(true);
    trials += pool > 0 ? 1 : 0;
    const std::vector<float> maturities(static_cast<size_t>(std::min<int64_t>(pool, 1)), 0.5f);
    policy.learn({DraftKind::kWindow, pool, std::ssize(maturities), maturities, 0}, true);
    for (int other = 1; other < 8; ++other) policy.learn({}, false);
  }
  EXPECT_GT(trials, 0);
  EXPECT_LT(trials, 40);
}

/// Without a window all take part, for a few passes, less and less often.
TEST(DraftPolicy, AllSessionsTryToDraftAhead) {
  DraftPolicy policy(nominal(), 1, true);
  policy.share_passes(8);
  int64_t together = 0, late = 0;
  for (int pass = 0; pass < 2000; ++pass) {
    const bool ahead = policy.drafts_ahead(true);
    EXPECT_EQ(policy.drafts_ahead(false), ahead);
    EXPECT_EQ(policy.window(false), 0);
    together += ahead ? 1 : 0;
    late += ahead && pass >= 1000 ? 1 : 0;
    const std::vector<float> maturities(ahead ? 1 : 0, 0.5f);
    for (int session = 0; session < 8; ++session) {
      policy.learn({ahead ? DraftKind::kAhead : DraftKind::kNone,
                    ahead ? DraftPolicy::kLargestWindow : 0, std::ssize(maturities), maturities, 0},
                   session == 0);
    }
  }
  EXPECT_GT(together, 4);
  EXPECT_LT(together, 80);
  EXPECT_LE(late, 8);
}

/// Text that is easy to draft and then hard, in turns, does not bring trials of a dear way back.
TEST(DraftPolicy, TrialsInVainBecomeRareWhateverElseChanges) {
  DraftPolicy policy(nominal(), 1, true);
  Random random(1, 9);
  int64_t early = 0, late = 0, changes = 0;
  bool before = false;
  for (int pass = 0; pass < 4000; ++pass) {
    const bool ahead = policy.drafts_ahead(true);
    const int64_t window = policy.window(true);
    if (window > 0) ++(pass < 2000 ? early : late);
    changes += ahead != before ? 1 : 0;
    before = ahead;
    const std::vector<float> maturities(ahead ? 1 : 0, 0.5f);
    policy.learn({ahead ? DraftKind::kAhead : DraftKind::kWindow,
                  ahead ? DraftPolicy::kLargestWindow : std::max<int64_t>(0, window - 1),
                  std::ssize(maturities), maturities,
                  ahead && pass / 100 % 2 == 1 && random.uniform() < 0.7 ? 1 : 0},
                 true);
  }
  EXPECT_GT(changes, 10);
  EXPECT_GT(early, 0);
  EXPECT_LE(late, 16);
}

/// Passes of one session whose drafts ahead, and of a window, are kept with these probabilities.
/// Returns how many of the last hundred passes each source had.
std::array<int, 3> sources_taken(DraftPolicy& policy, double ahead, double window, int passes) {
  Random random(1, 7);
  std::array<int, 3> taken{};
  DraftKind source = DraftKind::kNone;
  int64_t pool = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const double kept = source == DraftKind::kAhead ? ahead : window;
    const std::vector<float> maturities = drafts_of(policy, kept, pool, source);
    int64_t accepted = 0;
    while (accepted < std::ssize(maturities) && random.uniform() < kept) ++accepted;
    if (pass >= passes - 100) ++taken[static_cast<size_t>(source)];
    policy.learn({source, pool, std::ssize(maturities), maturities, accepted}, true);
    source = policy.drafts_ahead(true) ? DraftKind::kAhead
             : policy.window(true) > 0 ? DraftKind::kWindow
                                       : DraftKind::kNone;
    pool = source == DraftKind::kAhead ? DraftPolicy::kLargestWindow
                                       : std::max<int64_t>(0, policy.window(true) - 1);
  }
  return taken;
}

TEST(DraftPolicy, TakesTheSourceOfDraftsThatPaysMore) {
  DraftPolicy window(nominal(), 1, true), ahead(nominal(), 1, true), neither(nominal(), 1, true);
  EXPECT_GT(sources_taken(window, 0.2, 0.95, 2000)[static_cast<size_t>(DraftKind::kWindow)], 80);
  EXPECT_GT(sources_taken(ahead, 0.8, 0.8, 2000)[static_cast<size_t>(DraftKind::kAhead)], 80);
  EXPECT_GT(sources_taken(neither, 0.05, 0.05, 2000)[static_cast<size_t>(DraftKind::kNone)], 90);
}

/// What it took to propose a token is spent: it is verified if its row alone pays, but no further
/// one is proposed unless it pays for both. Where tokens are seldom kept, fewer are proposed.
TEST(DraftPolicy, ProposesNoMoreThanItExpectsToPay) {
  const auto least_to_propose = [](double share) {
    DraftPolicy policy(nominal(), 1, true);
    Random random(1, 3);
    const float maturity[] = {0.5f};
    for (int pass = 0; pass < 400; ++pass) {
      policy.learn({DraftKind::kAhead, DraftPolicy::kLargestWindow, 1, maturity,
                    random.uniform() < share ? 1 : 0},
                   true);
    }
    for (double all_kept = 0; all_kept <= 1; all_kept += 0.01) {
      const bool proposes = policy.worth_proposing(all_kept, 2, DraftKind::kAhead);
      if (!proposes) continue;
      EXPECT_TRUE(policy.worth_verifying(all_kept * 0.9, 2)) << all_kept;
      return all_kept;
    }
    return 2.0;
  };
  const double seldom = least_to_propose(0.5), often = least_to_propose(0.9);
  EXPECT_LT(often, 0.5);
  EXPECT_GT(seldom, 1.3 * often);
}

/// To find that no draft is worth making is not free: where that is all that comes of drafting
/// ahead, it must end.
TEST(DraftPolicy, ThinkingOfDraftsCosts) {
  DraftPolicy policy(nominal(), 1, true);
  int ahead = 0;
  for (int pass = 0; pass < 600; ++pass) {
    const bool drafts = policy.drafts_ahead(true);
    const int64_t window = policy.window(true);
    if (pass >= 300) ahead += drafts ? 1 : 0;
    if (drafts) policy.learn({DraftKind::kAhead, DraftPolicy::kLargestWindow, 1, {}, 0}, true);
    if (!drafts)
      policy.learn({DraftKind::kWindow, std::max<int64_t>(0, window - 1), 0, {}, 0}, true);
  }
  EXPECT_LT(ahead, 30);
}

TEST(DraftPolicy, NeverDraftsAheadWithoutTheField) {
  DraftPolicy policy(nominal());
  for (int pass = 0; pass < 500; ++pass) {
    EXPECT_FALSE(policy.drafts_ahead(true));
    policy.learn({}, true);
  }
}

TEST(DraftPolicy, NoticesThatATextHasBecomePredictable) {
  Random random(1, 3);
  DraftPolicy policy(nominal());
  decode(policy, nominal(), 0, 1000, random);
  EXPECT_EQ(policy.window(true), 0);
  decode(policy, nominal(), 0.95, 1600, random);
  EXPECT_GE(policy.window(true), 4);
  EXPECT_GT(decode(policy, nominal(), 0, 300, random).speed_up(), 0.9);
}

TEST(Calibration, LearnsWhatMaturityMeans) {
  Calibration calibration;
  EXPECT_NEAR(calibration.kept(0.35), 0.35, 1e-9);  // at first the head is believed
  Random random(1, 4);
  for (int i = 0; i < 4000; ++i) calibration.learn(0.35, random.uniform() < 0.8);
  // The standard error of 4000 draws is 0.006; five of them.
  EXPECT_NEAR(calibration.kept(0.35), 0.8, 0.032);
  EXPECT_NEAR(calibration.kept(0.95), 0.95, 1e-9);
  for (double edge : {0.0, 1.0}) EXPECT_NEAR(calibration.kept(edge), edge, 1e-9);
}

TEST(Calibration, LenienceKeepsAShareOfTheWrongDrafts) {
  const Calibration calibration(0.25);
  EXPECT_NEAR(calibration.kept(0.6), 1 - 0.25 * 0.4, 1e-9);
  EXPECT_NEAR(calibration.kept(1), 1, 1e-9);
}

/// A lenient session drafts further from its first pass on: it need not learn that this pays.
TEST(DraftPolicy, LenienceDraftsFurther) {
  const auto drafts = [](double lenience) {
    return std::ssize(drafts_of(DraftPolicy(nominal(), lenience), 0.6, 1000));
  };
  EXPECT_GE(drafts(0.25), 2 * drafts(1));
  EXPECT_GT(drafts(1), 0);
}

/// A refused token that was right after all makes a free policy no wiser: its text depends on it.
TEST(DraftPolicy, OnlyAThriftyOneLearnsFromRefusedTokens) {
  const PassTimes times;
  for (const bool thrifty : {false, true}) {
    DraftPolicy policy = thrifty ? DraftPolicy(times, true) : DraftPolicy(nominal(), 1, true);
    const double before = policy.calibration(DraftKind::kAhead).kept(0.3);
    for (int i = 0; i < 20; ++i) {
      policy.learn({DraftKind::kAhead, 24, 1, {}, 0, DraftOutcome::Refused{0.3f, true}}, true);
    }
    const double after = policy.calibration(DraftKind::kAhead).kept(0.3);
    EXPECT_TRUE(thrifty ? after > 0.8 : after == before) << thrifty << " " << after;
  }
}

/// Passes before a thrifty policy first drafts, if one takes so long.
int64_t plain_passes_at_first(double seconds) {
  PassTimes times;
  DraftPolicy policy(times, true);
  for (int64_t pass = 1; pass < 1000; ++pass) {
    times.learn({.rows = 1, .heads = 1, .seconds = seconds});
    policy.learn({}, true);
    policy.settle(1, 1);
    if (policy.drafts_ahead(true)) return pass;
  }
  return 1000;
}

/// What the first draft of a process takes besides is next to nothing where passes are long, and
/// more than a whole text may lose where they are short.
TEST(DraftPolicy, WherePassesAreShortTheFirstDraftComesLater) {
  EXPECT_LT(plain_passes_at_first(5e-3), 40);
  EXPECT_GT(plain_passes_at_first(60e-6), 100);
}

TEST(PassCost, NominalIsWhatItSays) {
  EXPECT_NEAR(nominal().pass(8, 8) / nominal().pass(1, 1), 1.3, 1e-9);
  EXPECT_NEAR(nominal().pass(16, 16) / nominal().pass(1, 1), 2.2, 1e-9);
  EXPECT_GT(nominal().pass(32, 1), nominal().pass(16, 1));
}

}  // namespace
}  // namespace evo::decode
