#include "weights/gguf/block_formats.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/float_formats.h"
#include "base/weight_group.h"

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
void q8_0_groups(const uint8_t* block, WeightGroup* out) {
  out->scale = read_u16(block);
  for (int64_t i = 0; i < kBlock; ++i) out->values[i] = static_cast<int8_t>(block[2 + i]);
}

/// Half a byte each: the first 16 weights are the lower halves, the others the upper ones.
template <class Number, class Value>
void read_halves(const uint8_t* bytes, Number* out, Value value) {
  for (int64_t i = 0; i < kHalf; ++i) {
    out[i] = static_cast<Number>(value(bytes[i] & 0xF, i));
    out[i + kHalf] = static_cast<Number>(value(bytes[i] >> 4, i + kHalf));
  }
}

/// | f16 scale | 32 halves of bytes |
void q4_0_groups(const uint8_t* block, WeightGroup* out) {
  out->scale = read_u16(block);
  read_halves(block + 2, out->values.data(), [](int q, int64_t) { return q - 8; });
}

/// | f16 scale | f16 minimum | 32 halves of bytes |
void q4_1_groups(const uint8_t* block, WeightGroup* out) {
  out->scale = read_u16(block);
  out->minimum = read_u16(block + 2);
  read_halves(block + 4, out->values.data(), [](int q, int64_t) { return q; });
}

uint32_t read_u32(const uint8_t* at) {
  return read_u16(at) | static_cast<uint32_t>(read_u16(at + 2)) << 16;
}

/// 32 fifth bits and 32 halves of bytes.
void read_fives(const uint8_t* bytes, int offset, WeightGroup* out) {
  const uint32_t high = read_u32(bytes);
  read_halves(bytes + 4, out->values.data(), [=](int q, int64_t i) {
    const int fifth = static_cast<int>((high >> i & 1) << 4);
    return (q | fifth) - offset;
  });
}

/// | f16 scale | 32 fifth bits | 32 halves of bytes |
void q5_0_groups(const uint8_t* block, WeightGroup* out) {
  out->scale = read_u16(block);
  read_fives(block + 2, 16, out);
}

/// | f16 scale | f16 minimum | 32 fifth bits | 32 halves of bytes |
void q5_1_groups(const uint8_t* block, WeightGroup* out) {
  out->scale = read_u16(block);
  out->minimum = read_u16(block + 2);
  read_fives(block + 4, 0, out);
}

int8_t non_linear(int q, int64_t /*i*/) {
  return kNonLinear[static_cast<size_t>(q)];
}

/// | f16 scale | 32 halves of bytes, which are places in a table |
void iq4_nl_groups(const uint8_t* block, WeightGroup* out) {
  out->scale = read_u16(block);
  read_halves(block + 2, out->values.data(), non_linear);
}

/// | f16 scale | two upper bits of 8 scales | four lower bits of 8 scales | 256 halves of bytes |
void iq4_xs_groups(const uint8_t* block, WeightGroup* out) {
  const int upper = read_u16(block + 2);
  for (int64_t part = 0; part < kSuperBlock / kBlock; ++part, ++out) {
    const int lower = block[4 + part / 2] >> (part % 2 * 4) & 0xF;
    const int whole = lower | (upper >> (2 * part) & 3) << 4;
    out->scale = read_u16(block);
    out->scale_factors.fill(static_cast<int8_t>(whole - 32));
    read_halves(block + 8 + part * kHalf, out->values.data(), non_linear);
  }
}

/// A row of the table for blocks that are groups.
template <void (*kGroups)(const uint8_t* block, WeightGroup* out), int64_t kWeights, int64_t kBytes>
struct GroupReader {
  static constexpr int64_t kCount = kWeights / kGroupInputs;

  static void read_groups(const uint8_t* blocks, int64_t count, WeightGroup* out) {
    for (; count > 0; --count, blocks += kBytes, out += kCount) kGroups(blocks, out);
  }

  static void read(const uint8_t* blocks, int64_t count, float* out) {
    for (; count > 0; --count, blocks += kBytes) {
      std::array<WeightGroup, kCount> groups;
      kGroups(blocks, groups.data());
      for (const WeightGroup& group : groups) {
        for (int64_t i = 0; i < kGroupInputs; ++i) *out++ = group.weight(i);
      }
    }
  }
};

template <void (*kGroups)(const uint8_t* block, WeightGroup* out), int64_t kWeights, int64_t kBytes>
constexpr BlockFormat grouped(uint32_t id, std::string_view name, const GroupFormat& groups) {
  using Reader = GroupReader<kGroups, kWeights, kBytes>;
  return {.id = id,
          .name = name,
          .weights = kWeights,
          .block_bytes = kBytes,
          .read = Reader::read,
          .read_groups = Reader::read_groups,
          .groups = groups};
}

constexpr BlockFormat written(BlockFormat format,
                              void (*write)(const float* weights, int64_t count, uint8_t* blocks),
                              int64_t file_type) {
  format.write = write;
  format.file_type = file_type;
  return format;
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

/// The halves of bytes as read_halves() reads them.
void write_halves(const WeightGroup& group, uint8_t* bytes) {
  for (int64_t i = 0; i < kHalf; ++i)
    bytes[i] = static_cast<uint8_t>(group.values[i] | group.values[i + kHalf] << 4);
}

void write_q4_1(const float* weights, int64_t count, uint8_t* block) {
  for (; count > 0; --count, block += 20, weights += kBlock) {
    const WeightGroup group = weight_group(weights, 4);
    put_u16(group.scale, block);
    put_u16(group.minimum, block + 2);
    write_halves(group, block + 4);
  }
}

constexpr std::array kFormats = {
    BlockFormat{28, "F64", 1, 8, read_f64},
    BlockFormat{0, "F32", 1, 4, read_f32, write_f32, 0},
    BlockFormat{1, "F16", 1, 2, read_f16, write_f16, 1},
    BlockFormat{30, "BF16", 1, 2, read_bf16, write_bf16, 32},
    written(grouped<q8_0_groups, kBlock, 34>(8, "Q8_0", {}), write_q8_0, 7),
    grouped<q6_k_groups, kSuperBlock, 210>(14, "Q6_K", {.factors = true, .parts = 2}),
    grouped<q5_1_groups, kBlock, 24>(7, "Q5_1", {.minimum = true}),
    grouped<q5_0_groups, kBlock, 22>(6, "Q5_0", {}),
    grouped<q5_k_groups, kSuperBlock, 176>(13, "Q5_K", {.minimum = true, .factors = true}),
    written(grouped<q4_1_groups, kBlock, 20>(3, "Q4_1", group_format(4)), write_q4_1, 3),
    grouped<q4_0_groups, kBlock, 18>(2, "Q4_0", {.bits = 4, .offset = 8}),
    written(grouped<q4_k_groups, kSuperBlock, 144>(12, "Q4_K", kSuperGroupFormat), write_q4_k, 14),
    grouped<iq4_nl_groups, kBlock, 18>(20, "IQ4_NL", {}),
    grouped<iq4_xs_groups, kSuperBlock, 136>(23, "IQ4_XS", {.factors = true}),
    BlockFormat{39, "MXFP4", kBlock, 17, read_mxfp4},
    grouped<q3_k_groups, kSuperBlock, 110>(11, "Q3_K", {.factors = true, .parts = 2}),
    grouped<q2_k_groups, kSuperBlock, 84>(10, "Q2_K",
                                          {.minimum = true, .factors = true, .parts = 2}),
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
