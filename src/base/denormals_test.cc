#include "base/denormals.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

namespace evo {
namespace {

/// Whether the smallest number survives an addition, which is done when the program runs.
bool keeps_denormals() {
  volatile float tiny = std::numeric_limits<float>::denorm_min();
  return tiny + tiny > 0.0f;
}

#if defined(__SSE2__)
TEST(Denormals, AreFlushedInTheThreadAndInThoseItStarts) {
  bool kept = true, kept_in_child = true;
  std::thread([&] {
    flush_denormals();
    kept = keeps_denormals();
    std::thread([&] { kept_in_child = keeps_denormals(); }).join();
  }).join();
  EXPECT_FALSE(kept);
  EXPECT_FALSE(kept_in_child);
  EXPECT_TRUE(keeps_denormals());
}
#endif

}  // namespace
}  // namespace evo
