// The K formats: blocks of 256 weights in parts of 16 or 32, each with a scale of a few bits (and
// some with a minimum), which an f16 of the block multiplies.
#include <array>

#include "base/float_formats.h"
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
  int scale, minimum;
};

}  // namespace

/// | 16 x (4 bits of scale, 4 of minimum) | 64 bytes of 2 bits each | f16 scale | f16 minimum |
void read_q2_k(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 84) {
    const float scale = from_f16(read_u16(block + 80)), minimum = from_f16(read_u16(block + 82));
    for (int64_t part = 0; part < 16; ++part, out += 16) {
      const float own = scale * static_cast<float>(block[part] & 0xF);
      const float least = minimum * static_cast<float>(block[part] >> 4);
      const uint8_t* const bits = block + 16 + part / 8 * 32 + part % 2 * 16;
      const int shift = static_cast<int>(part % 8 / 2 * 2);
      for (int64_t i = 0; i < 16; ++i) {
        out[i] = own * static_cast<float>(bits[i] >> shift & 3) - least;
      }
    }
  }
}

/// | 32 bytes of third bits | 64 bytes of 2 bits each | 16 scales of 6 bits | f16 scale |
void read_q3_k(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 110) {
    const float scale = from_f16(read_u16(block + 108));
    const uint8_t* const scales = block + 96;
    for (int64_t part = 0; part < 16; ++part, out += 16) {
      const int lower = scales[part % 8] >> (part / 8 * 4) & 0xF;
      const int upper = scales[8 + part % 4] >> (part / 4 * 2) & 3;
      const float own = scale * static_cast<float>((lower | upper << 4) - 32);
      const uint8_t* const bits = block + 32 + part / 8 * 32 + part % 2 * 16;
      const uint8_t* const thirds = block + part % 2 * 16;
      const int shift = static_cast<int>(part % 8 / 2 * 2), third = static_cast<int>(part / 2);
      for (int64_t i = 0; i < 16; ++i) {
        // A third bit that is not set takes 4 away.
        const int q = (bits[i] >> shift & 3) - ((thirds[i] >> third & 1) != 0 ? 0 : 4);
        out[i] = own * static_cast<float>(q);
      }
    }
  }
}

/// | f16 scale | f16 minimum | 8 scales and minimums of 6 bits | 128 bytes of 4 bits each |
void read_q4_k(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 144) {
    const float scale = from_f16(read_u16(block)), minimum = from_f16(read_u16(block + 2));
    for (int64_t part = 0; part < 8; ++part, out += 32) {
      const ScaleAndMinimum six(block + 4, part);
      const float own = scale * static_cast<float>(six.scale);
      const float least = minimum * static_cast<float>(six.minimum);
      const uint8_t* const halves = block + 16 + part / 2 * 32;
      const int shift = static_cast<int>(part % 2 * 4);
      for (int64_t i = 0; i < 32; ++i) {
        out[i] = own * static_cast<float>(halves[i] >> shift & 0xF) - least;
      }
    }
  }
}

/// As Q4_K, with 32 bytes of fifth bits before the last 128.
void read_q5_k(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 176) {
    const float scale = from_f16(read_u16(block)), minimum = from_f16(read_u16(block + 2));
    for (int64_t part = 0; part < 8; ++part, out += 32) {
      const ScaleAndMinimum six(block + 4, part);
      const float own = scale * static_cast<float>(six.scale);
      const float least = minimum * static_cast<float>(six.minimum);
      const uint8_t* const fifths = block + 16;
      const uint8_t* const halves = block + 48 + part / 2 * 32;
      const int shift = static_cast<int>(part % 2 * 4);
      for (int64_t i = 0; i < 32; ++i) {
        const int q = (halves[i] >> shift & 0xF) | (fifths[i] >> part & 1) << 4;
        out[i] = own * static_cast<float>(q) - least;
      }
    }
  }
}

/// | 128 bytes of 4 lower bits | 64 bytes of 2 upper bits | 16 signed scales | f16 scale |
void read_q6_k(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 210) {
    const float scale = from_f16(read_u16(block + 208));
    for (int64_t part = 0; part < 16; ++part, out += 16) {
      const auto six = static_cast<int8_t>(block[192 + part]);
      const float own = scale * static_cast<float>(six);
      const int64_t half = part / 8, quarter = part % 8 / 2, first = part % 2 * 16;
      const uint8_t* const lower = block + half * 64 + quarter % 2 * 32 + first;
      const uint8_t* const upper = block + 128 + half * 32 + first;
      const int lower_shift = static_cast<int>(quarter / 2 * 4);
      const int upper_shift = static_cast<int>(quarter * 2);
      for (int64_t i = 0; i < 16; ++i) {
        const int q = (lower[i] >> lower_shift & 0xF) | (upper[i] >> upper_shift & 3) << 4;
        out[i] = own * static_cast<float>(q - 32);
      }
    }
  }
}

}  // namespace evo::weights
