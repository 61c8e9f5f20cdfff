#include "base/interrupt.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace evo {
namespace {

// In processes of their own: a signal that was seen stays seen.

void exit_after_one(int signal) {
  catch_interrupts();
  const bool before = interrupted();
  raise(signal);
  _exit(!before && interrupted() ? 7 : 1);
}

void exit_after_two() {
  catch_interrupts();
  raise(SIGINT);
  raise(SIGTERM);
  _exit(1);
}

TEST(InterruptDeathTest, TheFirstSignalSetsTheFlag) {
  EXPECT_EXIT(exit_after_one(SIGINT), ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(exit_after_one(SIGTERM), ::testing::ExitedWithCode(7), "");
}

TEST(InterruptDeathTest, TheSecondSignalEndsTheProcess) {
  EXPECT_EXIT(exit_after_two(), ::testing::ExitedWithCode(130), "");
}

}  // namespace
}  // namespace evo
