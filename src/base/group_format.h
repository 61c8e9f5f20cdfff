// Weights of few bits in groups: whole numbers, and what scales them. GGUF's Q8_0, Q4_1, Q4_K and
// their like are such formats.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "base/float_formats.h"

namespace evo {

/// Neighbours in a row that share a scale, in weights and in what they are multiplied with.
inline constexpr int64_t kGroupInputs = 32;
/// Groups that share the f16 numbers of a format with factors.
inline constexpr int64_t kSuperGroups = 8;

/// Of a row of `in` weights; the last one may be a part of one.
[[nodiscard]] constexpr int64_t groups_of_row(int64_t in) {
  return (in + kGroupInputs - 1) / kGroupInputs;
}

/// What the groups of a matrix have in common.
struct GroupFormat {
  int64_t bits = 8;      ///< of the numbers: 8, from -128 to 127, or 4, from -offset to 15 - offset
  int64_t offset = 0;    ///< of 4 bits
  bool minimum = false;  ///< besides the scale something is added to a group
  /// The scale and the minimum are products: of f16 numbers of eight groups and whole ones of a
  /// group, or of each half of it if there are two parts.
  bool factors = false;
  int64_t parts = 1;

  bool operator==(const GroupFormat&) const = default;
};

struct WeightGroup;

/// Rows of weights in groups, as a file has them.
struct GroupedRows {
  GroupFormat format;
  int64_t rows = 0;
  /// Gives the groups of a row, which follow `format`. Threads share it.
  std::function<void(int64_t row, std::span<WeightGroup> groups)> read;
};

[[nodiscard]] inline int64_t total_rows(std::span<const GroupedRows> parts) {
  int64_t rows = 0;
  for (const GroupedRows& part : parts) rows += part.rows;
  return rows;
}

/// 32 weights of a row: values times a scale, and a minimum besides. A format without factors has
/// ones; one without a minimum, zero.
struct WeightGroup {
  std::array<int8_t, kGroupInputs> values{};
  uint16_t scale = 0, minimum = 0;  ///< in f16
  std::array<int8_t, 2> scale_factors = {1, 1};
  std::array<uint8_t, 2> minimum_factors = {1, 1};

  /// Of weight `input`, whose part may have factors of its own. Exact in f32.
  [[nodiscard]] float scale_of(int64_t input) const {
    return from_f16(scale) * static_cast<float>(scale_factors[input / (kGroupInputs / 2)]);
  }
  [[nodiscard]] float minimum_of(int64_t input) const {
    return from_f16(minimum) * static_cast<float>(minimum_factors[input / (kGroupInputs / 2)]);
  }
  [[nodiscard]] float weight(int64_t input) const {
    const float scaled = static_cast<float>(values[input]) * scale_of(input);
    return minimum == 0 ? scaled : scaled + minimum_of(input);  // 0 would turn -0 into 0
  }
};

}  // namespace evo
