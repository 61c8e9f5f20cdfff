#include "base/checked.h"

#include <gtest/gtest.h>

#include <limits>

namespace evo {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

/// The message of the Error that fn throws, or "" if it throws none.
template <class Fn>
std::string error_of(const Fn& fn) {
  try {
    (void)fn();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Checked, ProductsThatFit) {
  EXPECT_EQ(checked_mul(int64_t{1} << 31, int64_t{1} << 31, "x"), int64_t{1} << 62);
  EXPECT_EQ(checked_mul(kMax, int64_t{1}, "x"), kMax);
  EXPECT_EQ(checked_mul(kMax, int64_t{0}, "x"), 0);
  EXPECT_EQ(checked_mul(int64_t{-1}, kMax, "x"), -kMax);
  EXPECT_EQ(checked_mul(kMin, int64_t{1}, "x"), kMin);
}

TEST(Checked, ProductsThatDoNot) {
  EXPECT_EQ(error_of([] { return checked_mul(int64_t{1} << 32, int64_t{1} << 31, "bytes of w"); }),
            "bytes of w: 4294967296 x 2147483648 is too large");
  EXPECT_THROW((void)checked_mul(kMin, int64_t{-1}, "x"), Error);
  EXPECT_THROW((void)checked_mul(uint32_t{1} << 16, uint32_t{1} << 16, "x"), Error);
  EXPECT_THROW((void)checked_mul(std::numeric_limits<size_t>::max(), size_t{2}, "x"), Error);
}

TEST(Checked, Sums) {
  EXPECT_EQ(checked_add(kMax - 1, int64_t{1}, "x"), kMax);
  EXPECT_EQ(checked_add(kMax, kMin, "x"), -1);
  EXPECT_EQ(error_of([] { return checked_add(kMax, int64_t{1}, "end of w"); }),
            "end of w: 9223372036854775807 + 1 is too large");
  EXPECT_THROW((void)checked_add(kMin, int64_t{-1}, "x"), Error);
  EXPECT_THROW((void)checked_add(std::numeric_limits<uint64_t>::max(), uint64_t{1}, "x"), Error);
}

}  // namespace
}  // namespace evo
