#include "train/trainer/pace.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace evo::train {
namespace {

constexpr auto kNever = Pace::Clock::time_point::max();

struct Watched {
  bool stop = false;
  int asked = 0;
  std::vector<double> shown;
  std::vector<std::string> explained;

  Pace pace(double patience, bool may_abandon = true) {
    return Pace({.stop =
                     [this] {
                       ++asked;
                       return stop;
                     },
                 .patience = patience,
                 .may_abandon = may_abandon,
                 .show = [this](const std::string&, double share) { shown.push_back(share); },
                 .explain = [this](const std::string& text) { explained.push_back(text); }});
  }
};

TEST(Pace, ShortWorkIsNeverAskedAbout) {
  Watched watched;
  watched.stop = true;
  Pace pace = watched.pace(1000);
  pace.begin("step 1", 1, Pace::Clock::now());
  for (int i = 0; i <= 10; ++i) EXPECT_NO_THROW(pace.at(0.1 * i));
  EXPECT_EQ(watched.asked, 0);
  EXPECT_TRUE(watched.shown.empty());
}

TEST(Pace, SaysHowFarItIsAndNeverGoesBack) {
  Watched watched;
  Pace pace = watched.pace(0);
  pace.at(0.5);  // nothing has begun
  pace.begin("step 1", 2, kNever);
  for (const double share : {0.0, 0.6, 0.2, 1.0}) pace.at(share);
  pace.begin_pass(1);
  pace.at(0.5);
  pace.end();
  pace.at(0.9);
  EXPECT_EQ(watched.shown, (std::vector<double>{0, 0.3, 0.3, 0.5, 0.5, 0.75}));
  EXPECT_FALSE(pace.stopping());
}

/// Without patience any rest is too long.
TEST(Pace, LongWorkIsAbandonedWhenTheRunIsToStop) {
  Watched watched;
  Pace pace = watched.pace(0);
  pace.begin("step 7", 1, kNever);
  EXPECT_NO_THROW(pace.at(0.5));
  watched.stop = true;
  EXPECT_THROW(pace.at(0.5), Abandoned);
  EXPECT_TRUE(pace.stopping());
  ASSERT_EQ(watched.explained.size(), 1u);
  EXPECT_NE(watched.explained[0].find("step 7 is given up"), std::string::npos);
  EXPECT_NO_THROW(pace.at(0));  // it is over
}

/// After d seconds the rest of the work takes d / 999: below the patience of a hundredth of a
/// second unless the machine sleeps for ten.
TEST(Pace, WorkThatIsNearlyDoneIsCompleted) {
  Watched watched;
  watched.stop = true;
  Pace pace = watched.pace(0.01);
  pace.begin("step 7", 1, kNever);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(11));
    EXPECT_NO_THROW(pace.at(0.999));
  }
  EXPECT_TRUE(pace.stopping());
  ASSERT_EQ(watched.explained.size(), 1u);  // once
  EXPECT_NE(watched.explained[0].find("stopping after step 7, 0 s"), std::string::npos);
}

TEST(Pace, WorkBeyondItsDeadlineIsAbandoned) {
  Watched watched;
  Pace pace = watched.pace(0.01);
  pace.begin("step 1", 1, Pace::Clock::now());
  std::this_thread::sleep_for(std::chrono::milliseconds(11));
  EXPECT_NO_THROW(pace.at(0.999));  // soon done
  pace.begin("step 2", 1, Pace::Clock::now());
  std::this_thread::sleep_for(std::chrono::milliseconds(11));
  EXPECT_THROW(pace.at(0), Abandoned);
  EXPECT_FALSE(pace.stopping());
  EXPECT_TRUE(watched.explained.empty());
}

TEST(Pace, SomeWorkMayNotBeAbandoned) {
  Watched watched;
  watched.stop = true;
  Pace pace = watched.pace(0, false);
  pace.begin("step 1", 1, Pace::Clock::now());
  EXPECT_NO_THROW(pace.at(0));
  EXPECT_EQ(watched.asked, 0);
  EXPECT_EQ(watched.shown.size(), 1u);
}

}  // namespace
}  // namespace evo::train
