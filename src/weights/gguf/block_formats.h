// The number formats of GGUF: weights in blocks that share scales, as bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/group_format.h"

namespace evo::weights {

/// A row of the table of formats. Blocks lie within rows of an array: a row has a whole number.
struct BlockFormat {
  uint32_t id;  ///< the file's number for it
  std::string_view name;
  int64_t weights;      ///< of a block
  int64_t block_bytes;  ///< of a block
  /// Writes the weights of `count` blocks, exactly as ggml's reference computes them in f32.
  void (*read)(const uint8_t* blocks, int64_t count, float* out);
  /// The other way round: of 8 bits and more as ggml's reference does, of 4 with less error
  /// (base/weight_group.h). Null: it is only read.
  void (*write)(const float* weights, int64_t count, uint8_t* blocks) = nullptr;
  int64_t file_type = 0;  ///< general.file_type of a model whose matrices are written so
  /// The same weights in groups, `weights` / 32 of a block; null: they are in none.
  void (*read_groups)(const uint8_t* blocks, int64_t count, WeightGroup* out) = nullptr;
  GroupFormat groups = {};  ///< what read_groups() gives
};

/// All of them, by falling size.
[[nodiscard]] std::span<const BlockFormat> block_formats();
/// nullptr if none is numbered or called so.
[[nodiscard]] const BlockFormat* find_block_format(uint32_t id);
[[nodiscard]] const BlockFormat* find_block_format(std::string_view name);

// What the readers share.

/// Weights of a block of the K formats.
inline constexpr int64_t kSuperBlock = kSuperGroups * kGroupInputs;

/// A bf16, f16 or other 16-bit number at any address, least byte first.
[[nodiscard]] inline uint16_t read_u16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] | at[1] << 8);
}

inline void put_u16(uint16_t value, uint8_t* at) {
  at[0] = static_cast<uint8_t>(value);
  at[1] = static_cast<uint8_t>(value >> 8);
}

/// f16 with the other sign, for a minimum that a format takes away.
[[nodiscard]] inline uint16_t negated_f16(uint16_t value) {
  return value ^ 0x8000u;
}

// A block's groups.
void q2_k_groups(const uint8_t* block, WeightGroup* out);
void q3_k_groups(const uint8_t* block, WeightGroup* out);
void q4_k_groups(const uint8_t* block, WeightGroup* out);
void q5_k_groups(const uint8_t* block, WeightGroup* out);
void q6_k_groups(const uint8_t* block, WeightGroup* out);

void write_q4_k(const float* weights, int64_t count, uint8_t* block);

}  // namespace evo::weights
