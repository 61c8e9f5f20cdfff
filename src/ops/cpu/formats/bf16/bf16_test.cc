#include "ops/cpu/formats/bf16/bf16.h"

#include <bit>
#include <cmath>
#include <limits>

#include "base/float_formats.h"
#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

/// Ties, neighbours of ties, infinities, NaNs, subnormals and 3000 random bit patterns.
std::vector<float> hard_numbers() {
  std::vector<float> numbers;
  for (const uint32_t bits :
       {0x00000000u, 0x80000000u, 0x00000001u, 0x00008000u, 0x3F808000u, 0x3F818000u, 0x3F807FFFu,
        0x3F808001u, 0x7F7FFFFFu, 0xFF7FFFFFu, 0x7F800000u, 0xFF800000u, 0x7F800001u, 0x7FFFFFFFu,
        0xFFC00000u, 0x7F80FFFFu}) {
    numbers.push_back(std::bit_cast<float>(bits));
  }
  Random random(1);
  for (int i = 0; i < 3000; ++i) numbers.push_back(std::bit_cast<float>(random.next()));
  return numbers;
}

TEST(Bf16, ArraysRoundAsSingleNumbersDo) {
  const std::vector<float> from = hard_numbers();
  testing::for_each_simd_target([&] {
    std::vector<uint16_t> halves(from.size());
    std::vector<float> rounded(from.size());
    convert_to_bf16(from.data(), std::ssize(from), halves.data());
    round_to_bf16(from.data(), std::ssize(from), rounded.data());
    for (size_t i = 0; i < from.size(); ++i) {
      ASSERT_EQ(halves[i], to_bf16(from[i])) << std::bit_cast<uint32_t>(from[i]);
      ASSERT_EQ(std::bit_cast<uint32_t>(rounded[i]), uint32_t{to_bf16(from[i])} << 16)
          << std::bit_cast<uint32_t>(from[i]);
    }
  });
}

TEST(Bf16, EveryLengthAndNothingBeyondIt) {
  const std::vector<float> from = testing::random_values(80, 2);
  testing::for_each_simd_target([&] {
    for (int64_t count = 0; count < 70; ++count) {
      std::vector<uint16_t> halves(81, 0xABCD);
      std::vector<float> rounded(81, -7.0f);
      convert_to_bf16(from.data() + 1, count, halves.data() + 1);
      round_to_bf16(from.data() + 1, count, rounded.data() + 1);
      for (int64_t i = 0; i < 80; ++i) {
        const bool inside = i >= 1 && i <= count;
        const auto at = static_cast<size_t>(i);
        ASSERT_EQ(halves[at], inside ? to_bf16(from[at]) : 0xABCD) << count << " " << i;
        ASSERT_EQ(rounded[at], inside ? from_bf16(to_bf16(from[at])) : -7.0f) << count << " " << i;
      }
    }
  });
}

}  // namespace
}  // namespace evo::ops
