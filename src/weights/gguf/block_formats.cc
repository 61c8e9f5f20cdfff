#include "weights/gguf/block_formats.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/float_formats.h"

namespace evo::weights {
namespace {

constexpr int64_t kBlock = 32;  // weights of a block of the older formats
constexpr int64_t kHalf = kBlock / 2;

// The sixteen values of IQ4_NL and IQ4_XS, and those of e2m1, doubled.
constexpr std::array<int8_t, 16> kNonLinear = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::array<int8_t, 16> kE2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void read_f32(const uint8_t* blocks, int64_t count, float* out) {
  std::memcpy(out, blocks, static_cast<size_t>(count) * sizeof(float));
}

void read_f64(const uint8_t* blocks, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    double value;
    std::memcpy(&value, blocks + i * 8, sizeof value);
    out[i] = static_cast<float>(value);
  }
}

void read_f16(const uint8_t* blocks, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = from_f16(read_u16(blocks + i * 2));
}

void read_bf16(const uint8_t* blocks, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = from_bf16(read_u16(blocks + i * 2));
}

/// | f16 scale | 32 signed bytes |
void read_q8_0(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 34, out += kBlock) {
    const float scale = from_f16(read_u16(block));
    for (int64_t i = 0; i < kBlock; ++i) {
      out[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
    }
  }
}

/// Half a byte each: the first 16 weights are the lower halves, the others the upper ones.
template <class Value>
void read_halves(const uint8_t* bytes, float* out, Value value) {
  for (int64_t i = 0; i < kHalf; ++i) {
    out[i] = value(bytes[i] & 0xF, i);
    out[i + kHalf] = value(bytes[i] >> 4, i + kHalf);
  }
}

/// | f16 scale | 32 halves of bytes |
void read_q4_0(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 18, out += kBlock) {
    const float scale = from_f16(read_u16(block));
    read_halves(block + 2, out, [=](int q, int64_t) { return scale * static_cast<float>(q - 8); });
  }
}

/// | f16 scale | f16 minimum | 32 halves of bytes |
void read_q4_1(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 20, out += kBlock) {
    const float scale = from_f16(read_u16(block)), least = from_f16(read_u16(block + 2));
    read_halves(block + 4, out,
                [=](int q, int64_t) { return scale * static_cast<float>(q) + least; });
  }
}

uint32_t read_u32(const uint8_t* at) {
  return read_u16(at) | static_cast<uint32_t>(read_u16(at + 2)) << 16;
}

/// | f16 scale | 32 fifth bits | 32 halves of bytes |
void read_q5_0(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 22, out += kBlock) {
    const float scale = from_f16(read_u16(block));
    const uint32_t high = read_u32(block + 2);
    read_halves(block + 6, out, [=](int q, int64_t i) {
      const int fifth = static_cast<int>((high >> i & 1) << 4);
      return scale * static_cast<float>((q | fifth) - 16);
    });
  }
}

/// | f16 scale | f16 minimum | 32 fifth bits | 32 halves of bytes |
void read_q5_1(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 24, out += kBlock) {
    const float scale = from_f16(read_u16(block)), least = from_f16(read_u16(block + 2));
    const uint32_t high = read_u32(block + 4);
    read_halves(block + 8, out, [=](int q, int64_t i) {
      const int fifth = static_cast<int>((high >> i & 1) << 4);
      return scale * static_cast<float>(q | fifth) + least;
    });
  }
}

/// | f16 scale | 32 halves of bytes, which are places in a table |
void read_iq4_nl(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 18, out += kBlock) {
    const float scale = from_f16(read_u16(block));
    read_halves(block + 2, out, [=](int q, int64_t) {
      return scale * static_cast<float>(kNonLinear[static_cast<size_t>(q)]);
    });
  }
}

/// | f16 scale | two upper bits of 8 scales | four lower bits of 8 scales | 256 halves of bytes |
void read_iq4_xs(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 136) {
    const float scale = from_f16(read_u16(block));
    const int upper = read_u16(block + 2);
    for (int64_t part = 0; part < kSuperBlock / kBlock; ++part, out += kBlock) {
      const int lower = block[4 + part / 2] >> (part % 2 * 4) & 0xF;
      const int whole = lower | (upper >> (2 * part) & 3) << 4;
      const float own = scale * static_cast<float>(whole - 32);
      read_halves(block + 8 + part * kHalf, out, [=](int q, int64_t) {
        return own * static_cast<float>(kNonLinear[static_cast<size_t>(q)]);
      });
    }
  }
}

/// 2^(e - 128), half of what e8m0 says, since the table holds the doubles of e2m1.
float half_of_e8m0(uint8_t exponent) {
  if (exponent < 2) return std::bit_cast<float>(uint32_t{0x00200000} << exponent);
  return std::bit_cast<float>(static_cast<uint32_t>(exponent - 1) << 23);
}

/// | e8m0 scale | 32 halves of bytes in e2m1 |
void read_mxfp4(const uint8_t* block, int64_t count, float* out) {
  for (; count > 0; --count, block += 17, out += kBlock) {
    const float scale = half_of_e8m0(block[0]);
    read_halves(block + 1, out, [=](int q, int64_t) {
      return scale * static_cast<float>(kE2M1[static_cast<size_t>(q)]);
    });
  }
}

void write_f32(const float* weights, int64_t count, uint8_t* blocks) {
  std::memcpy(blocks, weights, static_cast<size_t>(count) * sizeof(float));
}

void put_u16(uint16_t value, uint8_t* at) {
  at[0] = static_cast<uint8_t>(value);
  at[1] = static_cast<uint8_t>(value >> 8);
}

void write_f16(const float* weights, int64_t count, uint8_t* blocks) {
  for (int64_t i = 0; i < count; ++i) put_u16(to_f16(weights[i]), blocks + i * 2);
}

void write_bf16(const float* weights, int64_t count, uint8_t* blocks) {
  for (int64_t i = 0; i < count; ++i) put_u16(to_bf16(weights[i]), blocks + i * 2);
}

void write_q8_0(const float* weights, int64_t count, uint8_t* block) {
  for (; count > 0; --count, block += 34, weights += kBlock) {
    float most = 0;
    for (int64_t i = 0; i < kBlock; ++i) most = std::max(most, std::abs(weights[i]));
    const float scale = most / 127;
    const float inverse = scale == 0 ? 0 : 1 / scale;
    put_u16(to_f16(scale), block);
    for (int64_t i = 0; i < kBlock; ++i) {
      block[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(std::round(weights[i] * inverse)));
    }
  }
}

constexpr std::array kFormats = {
    BlockFormat{28, "F64", 1, 8, read_f64},
    BlockFormat{0, "F32", 1, 4, read_f32, write_f32, 0},
    BlockFormat{1, "F16", 1, 2, read_f16, write_f16, 1},
    BlockFormat{30, "BF16", 1, 2, read_bf16, write_bf16, 32},
    BlockFormat{8, "Q8_0", kBlock, 34, read_q8_0, write_q8_0, 7},
    BlockFormat{14, "Q6_K", kSuperBlock, 210, read_q6_k},
    BlockFormat{7, "Q5_1", kBlock, 24, read_q5_1},
    BlockFormat{6, "Q5_0", kBlock, 22, read_q5_0},
    BlockFormat{13, "Q5_K", kSuperBlock, 176, read_q5_k},
    BlockFormat{3, "Q4_1", kBlock, 20, read_q4_1},
    BlockFormat{2, "Q4_0", kBlock, 18, read_q4_0},
    BlockFormat{12, "Q4_K", kSuperBlock, 144, read_q4_k},
    BlockFormat{20, "IQ4_NL", kBlock, 18, read_iq4_nl},
    BlockFormat{23, "IQ4_XS", kSuperBlock, 136, read_iq4_xs},
    BlockFormat{39, "MXFP4", kBlock, 17, read_mxfp4},
    BlockFormat{11, "Q3_K", kSuperBlock, 110, read_q3_k},
    BlockFormat{10, "Q2_K", kSuperBlock, 84, read_q2_k},
};

}  // namespace

std::span<const BlockFormat> block_formats() {
  return kFormats;
}

const BlockFormat* find_block_format(uint32_t id) {
  const auto found = std::ranges::find(kFormats, id, &BlockFormat::id);
  return found == kFormats.end() ? nullptr : &*found;
}

const BlockFormat* find_block_format(std::string_view name) {
  const auto found = std::ranges::find(kFormats, name, &BlockFormat::name);
  return found == kFormats.end() ? nullptr : &*found;
}

}  // namespace evo::weights
