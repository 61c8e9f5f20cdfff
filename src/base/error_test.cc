#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace evo {
namespace {

TEST(Error, FormatsItsMessage) {
  try {
    fail("{} has {} rows, expected {}", "w", 3, 4);
    ADD_FAILURE() << "no Error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "w has 3 rows, expected 4");
  }
  EXPECT_EQ(errno_message(ENOENT), "No such file or directory");
}

TEST(ErrorDeathTest, AFailedCheckSaysWhere) {
  const int rows = 3;
  EVO_CHECK(rows == 3);
  EXPECT_DEATH(EVO_CHECK(rows == 4), "error_test.cc:[0-9]+: internal check failed: rows == 4");
}

}  // namespace
}  // namespace evo
