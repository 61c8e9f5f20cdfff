#include "base/float_formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace evo {
namespace {

constexpr uint32_t kBf16Infinity = 0x7F80;

/// The size of a non-negative bf16, with the number that would follow the largest one standing for
/// infinity: rounding overflows to it exactly from half way on.
double bf16_size(uint32_t bits) {
  return bits == kBf16Infinity ? 0x1p128
                               : static_cast<double>(from_bf16(static_cast<uint16_t>(bits)));
}

/// Expects both signs of `value` to round to `bits`.
void expect_rounding(double value, uint32_t bits) {
  const auto size = static_cast<float>(value);
  ASSERT_EQ(static_cast<double>(size), value);
  EXPECT_EQ(to_bf16(size), bits) << value;
  EXPECT_EQ(to_bf16(-size), bits | 0x8000u) << -value;
}

TEST(Bf16, EveryNumberSurvives) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (std::isnan(from_bf16(half))) {
      EXPECT_TRUE(std::isnan(from_bf16(to_bf16(from_bf16(half))))) << bits;
    } else {
      EXPECT_EQ(to_bf16(from_bf16(half)), half);
    }
  }
}

// Between each two neighbours: the tie and the floats next to it on either side.
TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t below = 0; below < kBf16Infinity; ++below) {
    const uint32_t above = below + 1;
    const double tie = (bf16_size(below) + bf16_size(above)) / 2;  // 9 bits: exact in f32
    const auto tie_f32 = static_cast<float>(tie);
    expect_rounding(tie, below % 2 == 0 ? below : above);
    expect_rounding(std::nextafter(tie_f32, 0.0f), below);
    expect_rounding(std::nextafter(tie_f32, std::numeric_limits<float>::infinity()), above);
  }
}

// A NaN whose set bits are all in the lower half must not become infinity.
TEST(Bf16, NanStaysNan) {
  for (uint32_t bit = 0; bit < 23; ++bit) {
    for (const uint32_t sign : {0u, 0x80000000u}) {
      const auto nan = std::bit_cast<float>(sign | 0x7F800000u | (1u << bit));
      EXPECT_TRUE(std::isnan(from_bf16(to_bf16(nan)))) << bit;
    }
  }
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7FFFFFFFu)))));
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0xFFFFFFFFu)))));
}

// By the definition: a subnormal has no hidden bit and the smallest exponent.
TEST(F16, EveryNumberIsExact) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = static_cast<int>((bits >> 10) & 31);
    const int fraction = static_cast<int>(bits & 1023);
    const float value = from_f16(static_cast<uint16_t>(bits));
    EXPECT_EQ(std::signbit(value), bits >= 0x8000);
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(value), fraction != 0);
      EXPECT_EQ(std::isinf(value), fraction == 0);
    } else {
      const double size =
          exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
      EXPECT_EQ(std::abs(static_cast<double>(value)), size) << bits;
    }
  }
}

TEST(F8E4m3, EveryCode) {
  for (int code = 0; code < 0x80; ++code) {
    const int exponent = code >> 3, fraction = code & 7;
    const double expected =
        exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
    for (const int sign : {0, 0x80}) {
      const float value = from_f8_e4m3(static_cast<uint8_t>(code | sign));
      EXPECT_EQ(std::signbit(value), sign != 0);
      if (code == 0x7F) {
        EXPECT_TRUE(std::isnan(value));
      } else {
        EXPECT_EQ(std::abs(value), expected) << code;
      }
    }
  }
  EXPECT_EQ(from_f8_e4m3(0x7E), 448);
}

}  // namespace
}  // namespace evo
