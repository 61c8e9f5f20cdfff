// How weights in groups lie in memory, to be read from end to end by products.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "base/float_formats.h"
#include "base/group_format.h"

namespace evo::ops {

/// A block of 32 outputs: first, of a format with factors, the scales in f16 [32] of each eight
/// groups and behind them their minima; then the groups. A group is its numbers, as lanes of four
/// bytes [lines, 32, 4], and then its scales in f16 [32], or their factors in bytes [parts, 32],
/// and its minima alike; a whole number of cache lines.
///
/// Of 8 bits a lane has inputs 4 i .. 4 i + 3 of an output; of 4 bits byte b has input 8 i + b in
/// its lower and 8 i + 4 + b in its upper half. A number is stored with the offset added.
class GroupLayout {
 public:
  static constexpr int64_t kOutputs = 32, kLaneBytes = 4, kLineBytes = kOutputs * kLaneBytes,
                           kHalvesBytes = kOutputs * int64_t{sizeof(uint16_t)};

  explicit constexpr GroupLayout(const GroupFormat& format) : format_(format) {}

  [[nodiscard]] constexpr const GroupFormat& format() const { return format_; }
  [[nodiscard]] constexpr int64_t offset() const {
    return format_.bits == 8 ? 128 : format_.offset;
  }
  [[nodiscard]] constexpr int64_t weight_bytes() const {
    return kOutputs * kGroupInputs * format_.bits / 8;
  }
  /// Of the scales of a group, and as many of its minima.
  [[nodiscard]] constexpr int64_t scale_bytes() const {
    return format_.factors ? format_.parts * kOutputs : kHalvesBytes;
  }
  [[nodiscard]] constexpr int64_t group_bytes() const {
    constexpr int64_t kCacheLine = 64;
    const int64_t bytes = weight_bytes() + (format_.minimum ? 2 : 1) * scale_bytes();
    return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  }
  /// Of what stands before the groups of a block.
  [[nodiscard]] constexpr int64_t head_bytes(int64_t groups) const {
    return (groups + kSuperGroups - 1) / kSuperGroups * super_bytes();
  }
  [[nodiscard]] constexpr int64_t block_bytes(int64_t groups) const {
    return head_bytes(groups) + groups * group_bytes();
  }

  /// Where they are in a block.
  [[nodiscard]] constexpr int64_t group_at(int64_t groups, int64_t group) const {
    return head_bytes(groups) + group * group_bytes();
  }
  [[nodiscard]] constexpr int64_t super_at(int64_t group) const {
    return group / kSuperGroups * super_bytes();
  }

  /// Where they are in a group.
  [[nodiscard]] constexpr int64_t byte_of(int64_t output, int64_t input) const {
    const int64_t lane = 32 / format_.bits;  // inputs in one
    return input / lane * kLineBytes + output * kLaneBytes + input % kLaneBytes;
  }
  [[nodiscard]] constexpr int shift_of(int64_t input) const {
    return format_.bits == 4 && input % 8 >= kLaneBytes ? 4 : 0;
  }

  [[nodiscard]] int stored(const uint8_t* group, int64_t output, int64_t input) const {
    return group[byte_of(output, input)] >> shift_of(input) & ((1 << format_.bits) - 1);
  }

  /// Puts a group into a block that was filled with zeros.
  void write(const WeightGroup& group, int64_t groups, int64_t index, int64_t output,
             uint8_t* block) const {
    uint8_t* const to = block + group_at(groups, index);
    std::array<uint8_t, kGroupInputs> stored{};
    for (int64_t i = 0; i < kGroupInputs; ++i)
      stored[i] = static_cast<uint8_t>(group.values[i] + offset());
    const int64_t lane = 32 / format_.bits;
    for (int64_t i = 0; i < kGroupInputs; i += lane) {
      uint32_t word = word_at(stored, i);
      if (format_.bits == 4) word |= word_at(stored, i + kLaneBytes) << 4;
      std::memcpy(to + byte_of(output, i), &word, sizeof(word));
    }
    uint8_t* const scales = to + weight_bytes();
    uint8_t* const minima = scales + scale_bytes();
    uint8_t* const halves = format_.factors ? block + super_at(index) : scales;
    put(group.scale, halves, output);
    if (format_.minimum)
      put(group.minimum, format_.factors ? halves + kHalvesBytes : minima, output);
    if (!format_.factors) return;
    for (int64_t part = 0; part < format_.parts; ++part) {
      scales[part * kOutputs + output] = static_cast<uint8_t>(group.scale_factors[part]);
      if (format_.minimum) minima[part * kOutputs + output] = group.minimum_factors[part];
    }
  }

  /// What write() put there.
  [[nodiscard]] WeightGroup read(const uint8_t* block, int64_t groups, int64_t index,
                                 int64_t output) const {
    const uint8_t* const from = block + group_at(groups, index);
    WeightGroup group;
    for (int64_t i = 0; i < kGroupInputs; ++i) {
      group.values[i] = static_cast<int8_t>(stored(from, output, i) - offset());
    }
    const uint8_t* const scales = from + weight_bytes();
    const uint8_t* const minima = scales + scale_bytes();
    const uint8_t* const halves = format_.factors ? block + super_at(index) : scales;
    group.scale = half(halves, output);
    if (format_.minimum)
      group.minimum = half(format_.factors ? halves + kHalvesBytes : minima, output);
    if (!format_.factors) return group;
    for (int64_t part = 0; part < 2; ++part) {
      const int64_t at = part * (format_.parts - 1) * kOutputs + output;
      group.scale_factors[part] = static_cast<int8_t>(scales[at]);
      if (format_.minimum) group.minimum_factors[part] = minima[at];
    }
    return group;
  }

 private:
  [[nodiscard]] constexpr int64_t super_bytes() const {
    return format_.factors ? (format_.minimum ? 2 : 1) * kHalvesBytes : 0;
  }
  [[nodiscard]] static uint32_t word_at(const std::array<uint8_t, kGroupInputs>& bytes, int64_t i) {
    uint32_t word = 0;
    std::memcpy(&word, &bytes[i], sizeof(word));
    return word;
  }
  static void put(uint16_t half, uint8_t* halves, int64_t index) {
    std::memcpy(halves + index * int64_t{sizeof(half)}, &half, sizeof(half));
  }
  [[nodiscard]] static uint16_t half(const uint8_t* halves, int64_t index) {
    uint16_t bits = 0;
    std::memcpy(&bits, halves + index * int64_t{sizeof(bits)}, sizeof(bits));
    return bits;
  }

  GroupFormat format_;
};

}  // namespace evo::ops
