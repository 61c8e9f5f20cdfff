#include "base/log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/testing.h"

namespace evo {
namespace {

std::string logged_at(LogLevel level) {
  set_log_level(level);
  ::testing::internal::CaptureStderr();
  log_info("{} of {}", 1, 2);
  log_line("with {braces}");
  log_warning("{}", "care");
  std::string text = ::testing::internal::GetCapturedStderr();
  set_log_level(LogLevel::kInfo);
  return text;
}

TEST(Log, QuietLeavesWarnings) {
  EXPECT_EQ(logged_at(LogLevel::kInfo), "1 of 2\nwith {braces}\nwarning: care\n");
  EXPECT_EQ(logged_at(LogLevel::kQuiet), "warning: care\n");
}

TEST(Log, GoesWhereItIsSaid) {
  std::vector<std::string> heard;
  set_log_sink([&](std::string_view message) { heard.emplace_back(message); });
  ::testing::internal::CaptureStderr();
  log_info("{} of {}", 1, 2);
  log_warning("care");
  set_log_sink({});
  log_warning("lost");
  log_to_terminal();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(heard, (std::vector<std::string>{"1 of 2", "warning: care"}));
}

}  // namespace
}  // namespace evo
