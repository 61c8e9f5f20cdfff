// What a config.json's "quantization_config" says of how matrices are stored.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "json/record.h"

namespace evo::weights {

/// Several matrices in fewer bits, those that the file has so; all others are as ever.
struct Quantization {
  enum class Method {
    kFp8,         ///< X.weight in F8_E4M3, X.weight_scale_inv
    kCompressed,  ///< compressed-tensors: X.weight in F8_E4M3 or I8, or X.weight_packed, and others
    kGptq,        ///< X.qweight, X.qzeros, X.scales, X.g_idx
    kAwq,         ///< X.qweight, X.qzeros, X.scales
  };
  Method method = Method::kFp8;

  /// Rows and columns that share a scale. Nothing: it follows from the scales' shape.
  std::optional<std::array<int64_t, 2>> block = {};
  int64_t group_size = 0;  ///< neighbouring inputs that share a scale; -1: all; 0: see `block`
  bool ordered = false;    ///< X.g_idx or X.weight_g_idx says which inputs do instead

  // Of compressed-tensors.
  bool packed = false;    ///< X.weight_packed and X.weight_shape
  bool symmetric = true;  ///< otherwise there is X.weight_zero_point

  // Of what is packed into words.
  int64_t bits = 4;
  bool zeros_less_one = false;  ///< the first form of GPTQ

  bool operator==(const Quantization&) const = default;
};

/// Of an object "quantization_config". Throws Error if it describes what is not read.
[[nodiscard]] Quantization read_quantization(const json::Record& record);

}  // namespace evo::weights
