// The K formats: blocks of 256 weights in parts of 16 or 32, each with a scale of a few bits (and
// some with a minimum), which an f16 of the block multiplies.
#include <array>

#include "base/weight_group.h"
#include "weights/gguf/block_formats.h"

namespace evo::weights {
namespace {

/// The scale and the minimum of part `i` of eight, 6 bits each: four bytes with scales 0 to 3, four
/// with minimums 0 to 3, four with the lower halves of the others, whose upper bits are on top of
/// the first eight bytes.
struct ScaleAndMinimum {
  ScaleAndMinimum(const uint8_t* bytes, int64_t i) {
    if (i < 4) {
      scale = bytes[i] & 0x3F;
      minimum = bytes[i + 4] & 0x3F;
    } else {
      scale = (bytes[i + 4] & 0xF) | (bytes[i - 4] >> 6 << 4);
      minimum = (bytes[i + 4] >> 4) | (bytes[i] >> 6 << 4);
    }
  }

  /// Both, with the f16 numbers that a block begins with.
  void put(const uint8_t* block, WeightGroup& group) const {
    group.scale = read_u16(block);
    group.minimum = negated_f16(read_u16(block + 2));
    group.scale_factors.fill(static_cast<int8_t>(scale));
    group.minimum_factors.fill(static_cast<uint8_t>(minimum));
  }
  int scale, minimum;
};

}  // namespace

/// | 16 x (4 bits of scale, 4 of minimum) | 64 bytes of 2 bits each | f16 scale | f16 minimum |
void q2_k_groups(const uint8_t* block, WeightGroup* out) {
  for (int64_t part = 0; part < 16; ++part) {
    WeightGroup& group = out[part / 2];
    const int64_t half = part % 2;
    group.scale = read_u16(block + 80);
    group.minimum = negated_f16(read_u16(block + 82));
    group.scale_factors[half] = static_cast<int8_t>(block[part] & 0xF);
    group.minimum_factors[half] = static_cast<uint8_t>(block[part] >> 4);
    const uint8_t* const bits = block + 16 + part / 8 * 32 + half * 16;
    const int shift = static_cast<int>(part % 8 / 2 * 2);
    for (int64_t i = 0; i < 16; ++i)
      group.values[half * 16 + i] = static_cast<int8_t>(bits[i] >> shift & 3);
  }
}

/// | 32 bytes of third bits | 64 bytes of 2 bits each | 16 scales of 6 bits | f16 scale |
void q3_k_groups(const uint8_t* block, WeightGroup* out) {
  const uint8_t* const scales = block + 96;
  for (int64_t part = 0; part < 16; ++part) {
    WeightGroup& group = out[part / 2];
    const int64_t half = part % 2;
    const int lower = scales[part % 8] >> (part / 8 * 4) & 0xF;
    const int upper = scales[8 + part % 4] >> (part / 4 * 2) & 3;
    group.scale = read_u16(block + 108);
    group.scale_factors[half] = static_cast<int8_t>((lower | upper << 4) - 32);
    const uint8_t* const bits = block + 32 + part / 8 * 32 + half * 16;
    const uint8_t* const thirds = block + half * 16;
    const int shift = static_cast<int>(part % 8 / 2 * 2), third = static_cast<int>(part / 2);
    for (int64_t i = 0; i < 16; ++i) {
      // A third bit that is not set takes 4 away.
      const int q = (bits[i] >> shift & 3) - ((thirds[i] >> third & 1) != 0 ? 0 : 4);
      group.values[half * 16 + i] = static_cast<int8_t>(q);
    }
  }
}

/// | f16 scale | f16 minimum | 8 scales and minimums of 6 bits | 128 bytes of 4 bits each |
void q4_k_groups(const uint8_t* block, WeightGroup* out) {
  for (int64_t part = 0; part < 8; ++part) {
    ScaleAndMinimum(block + 4, part).put(block, out[part]);
    const uint8_t* const halves = block + 16 + part / 2 * 32;
    const int shift = static_cast<int>(part % 2 * 4);
    for (int64_t i = 0; i < 32; ++i)
      out[part].values[i] = static_cast<int8_t>(halves[i] >> shift & 0xF);
  }
}

void write_q4_k(const float* weights, int64_t count, uint8_t* block) {
  for (; count > 0; --count, block += 144, weights += kSuperBlock) {
    const std::array<WeightGroup, kSuperGroups> groups = super_group(weights);
    put_u16(groups[0].scale, block);
    put_u16(negated_f16(groups[0].minimum), block + 2);
    uint8_t* const six = block + 4;
    for (int64_t part = 0; part < 4; ++part) {
      const WeightGroup &low = groups[part], &high = groups[part + 4];
      const int scale = high.scale_factors[0], minimum = high.minimum_factors[0];
      six[part] = static_cast<uint8_t>(low.scale_factors[0] | scale >> 4 << 6);
      six[part + 4] = static_cast<uint8_t>(low.minimum_factors[0] | minimum >> 4 << 6);
      six[part + 8] = static_cast<uint8_t>((scale & 0xF) | (minimum & 0xF) << 4);
      for (int64_t i = 0; i < kGroupInputs; ++i) {
        const WeightGroup &even = groups[2 * part], &odd = groups[2 * part + 1];
        block[16 + part * 32 + i] = static_cast<uint8_t>(even.values[i] | odd.values[i] << 4);
      }
    }
  }
}

/// As Q4_K, with 32 bytes of fifth bits before the last 128.
void q5_k_groups(const uint8_t* block, WeightGroup* out) {
  for (int64_t part = 0; part < 8; ++part) {
    ScaleAndMinimum(block + 4, part).put(block, out[part]);
    const uint8_t* const fifths = block + 16;
    const uint8_t* const halves = block + 48 + part / 2 * 32;
    const int shift = static_cast<int>(part % 2 * 4);
    for (int64_t i = 0; i < 32; ++i) {
      const int q = (halves[i] >> shift & 0xF) | (fifths[i] >> part & 1) << 4;
      out[part].values[i] = static_cast<int8_t>(q);
    }
  }
}

/// | 128 bytes of 4 lower bits | 64 bytes of 2 upper bits | 16 signed scales | f16 scale |
void q6_k_groups(const uint8_t* block, WeightGroup* out) {
  for (int64_t part = 0; part < 16; ++part) {
    WeightGroup& group = out[part / 2];
    group.scale = read_u16(block + 208);
    group.scale_factors[part % 2] = static_cast<int8_t>(block[192 + part]);
    const int64_t half = part / 8, quarter = part % 8 / 2, first = part % 2 * 16;
    const uint8_t* const lower = block + half * 64 + quarter % 2 * 32 + first;
    const uint8_t* const upper = block + 128 + half * 32 + first;
    const int lower_shift = static_cast<int>(quarter / 2 * 4);
    const int upper_shift = static_cast<int>(quarter * 2);
    for (int64_t i = 0; i < 16; ++i) {
      const int q = (lower[i] >> lower_shift & 0xF) | (upper[i] >> upper_shift & 3) << 4;
      group.values[first + i] = static_cast<int8_t>(q - 32);
    }
  }
}

}  // namespace evo::weights
