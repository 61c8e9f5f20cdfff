#include "base/progress.h"

#include <gtest/gtest.h>

#include <cmath>

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
            "steps    0%  0 steps/s  0:00 left  ");
  // What an earlier run did says nothing about this one's rate.
  EXPECT_EQ(progress_line({.label = "reading", .unit = "MB", .done = 75, .total = 100, .begin = 50},
                          50, "x"),
            "reading   75%  0.5 MB/s  0:50 left  x");
  EXPECT_EQ(progress_line({.label = "training", .unit = "s", .done = 25, .total = 100}, 25, "x"),
            "training   25%  1:15 left  x");
}

TEST(Progress, ShowsNothingBeforeTwoSeconds) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("reading", 100, "MB");
    for (int i = 0; i < 100; ++i) progress.update(i);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace evo
