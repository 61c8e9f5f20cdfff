#include "base/process/interrupt.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace evo {
namespace {

// In processes of their own: a signal that was seen stays seen.

void exit_after_one(int signal) {
  catch_interrupts();
  const bool before = signalled();
  raise(signal);
  _exit(!before && signalled() ? 7 : 1);
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

TEST(InterruptDeathTest, TheFirstSignalIsAnsweredAtOnce) {
  EXPECT_EXIT(exit_after_one(SIGINT), ::testing::ExitedWithCode(7), "stopping; a second signal");
}

TEST(InterruptDeathTest, TheSecondSignalEndsTheProcess) {
  EXPECT_EXIT(exit_after_two(), ::testing::ExitedWithCode(130), "");
}

TEST(InterruptDeathTest, TheSecondSignalRemovesWhatIsUnfinished) {
  namespace fs = std::filesystem;
  const fs::path top = fs::path(::testing::TempDir()) / fmt::format("evo-interrupt-{}", getpid());
  const fs::path folder = top / "made", alone = top / "alone", kept = top / "kept";
  fs::create_directories(folder);
  for (const fs::path& file : {folder / "a", alone, kept}) std::ofstream(file) << "half";
  const auto end = [&] {
    remove_if_ended((folder / "a").string(), true);
    remove_if_ended(alone.string());
    remove_if_ended(kept.string());
    keep_if_ended(kept.string());
    exit_after_two();
  };
  EXPECT_EXIT(end(), ::testing::ExitedWithCode(130), "");
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_FALSE(fs::exists(alone));
  EXPECT_TRUE(fs::exists(kept));
  fs::remove_all(top);
}

}  // namespace
}  // namespace evo
