#include "base/terminal/progress.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/terminal/text_width.h"

namespace evo {
namespace {

TEST(Progress, Durations) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(41.4), "0:41");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(725), "12:05");
  EXPECT_EQ(format_duration(3599.4), "59:59");
  EXPECT_EQ(format_duration(3599.6), "1:00:00");
  EXPECT_EQ(format_duration(11525), "3:12:05");
  EXPECT_EQ(format_duration(-5), "0:00");
  EXPECT_EQ(format_duration(INFINITY), format_duration(1e9));
}

TEST(Progress, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KB");
  EXPECT_EQ(format_bytes(1536), "1.50 KB");
  EXPECT_EQ(format_bytes(12.34 * 1024 * 1024), "12.3 MB");
  EXPECT_EQ(format_bytes(1024.0 * 1024 - 1), "1.00 MB");  // not 1024.0 KB
  EXPECT_EQ(format_bytes(0x1p40), "1.00 TB");
  EXPECT_EQ(format_bytes(0x1p50), "1024.0 TB");
}

TEST(Progress, Counts) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(512), "512");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1.00K");
  EXPECT_EQ(format_count(9999), "10.0K");
  EXPECT_EQ(format_count(124.4e6), "124.4M");
  EXPECT_EQ(format_count(999'999), "1.00M");  // not 1000.0K
  EXPECT_EQ(format_count(8.03e9), "8.03B");
}

TEST(Progress, Line) {
  EXPECT_EQ(progress_line({.label = "reading", .unit = "MB", .done = 25, .total = 100}, 50, "x"),
            "reading   25%  0.5 MB/s  2:30 left  x");
  EXPECT_EQ(progress_line({.label = "steps", .unit = "steps", .done = 0, .total = 0}, 3, ""),
            "steps    0%  0 steps/s")
      << "nothing is known about the time";
  // What an earlier run did says nothing about this one's rate.
  EXPECT_EQ(progress_line({.label = "reading", .unit = "MB", .done = 75, .total = 100, .begin = 50},
                          50, "x"),
            "reading   75%  0.5 MB/s  0:50 left  x");
  EXPECT_EQ(progress_line({.label = "training", .unit = "s", .done = 25, .total = 100}, 25, "x"),
            "training   25%  1:15 left  x");
}

TEST(Progress, ShortensTheNoteFirst) {
  const ProgressState state{.label = "training", .unit = "MB", .done = 25, .total = 100};
  const auto line = [&](size_t columns) {
    return progress_line(state, 50, "loss 3.125  AR 3.000  900 tokens/s", columns);
  };
  const std::string whole =
      "training   25%  0.5 MB/s  2:30 left  loss 3.125  AR 3.000  900 tokens/s";
  EXPECT_EQ(line(std::string::npos), whole);
  EXPECT_EQ(line(whole.size()), whole);
  EXPECT_EQ(line(whole.size() - 1), "training   25%  0.5 MB/s  2:30 left  loss 3.125  AR 3.000");
  EXPECT_EQ(line(50), "training   25%  0.5 MB/s  2:30 left  loss 3.125");
  EXPECT_EQ(line(40), "training   25%  0.5 MB/s  2:30 left");
  EXPECT_EQ(line(30), "training   25%  2:30 left") << "then the rate";
  EXPECT_EQ(line(20), "training   25%");
  EXPECT_EQ(line(12), "traini   25%");
  EXPECT_EQ(line(6), "25%");
  EXPECT_EQ(line(2), "25");
}

TEST(Progress, NeverTooWideAndAlwaysWholeCharacters) {
  const ProgressState state{
      .label = "\u4e2d\u6587 e\u0301\U0001F600", .unit = "\u20ac", .done = 25, .total = 100};
  for (size_t columns = 0; columns < 60; ++columns) {
    const std::string line = progress_line(state, 50, "\u4e2d\u6587  \u20ac\u20ac", columns);
    EXPECT_LE(text_columns(line), columns);
    EXPECT_EQ(line.find("\uFFFD"), std::string::npos) << columns;
    EXPECT_EQ(printable(line), line) << "no character was cut";
  }
}

TEST(Progress, NotesCannotCommandTheTerminal) {
  EXPECT_EQ(progress_line({.label = "a\n", .unit = "s", .done = 1, .total = 2}, 1, "\x1b[2J"),
            "a.   50%  0:01 left  .[2J");
}

TEST(Progress, ShowsNothingBeforeTwoSeconds) {
  ::testing::internal::CaptureStderr();
  {
    TerminalProgress progress({.label = "reading", .unit = "MB", .total = 100});
    for (int i = 0; i < 100; ++i) progress.update(i, "");
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace evo
