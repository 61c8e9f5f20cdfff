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
    kCompressed,  ///< compressed-tensors: X.weight in F8_E4M3 or I8, X.weight_scale
    kGptq,        ///< X.qweight, X.qzeros, X.scales, X.g_idx
    kAwq,         ///< X.qweight, X.qzeros, X.scales
  };
  Method method = Method::kFp8;

  /// Rows and columns that share a scale. Nothing: it follows from the scales' shape.
  std::optional<std::array<int64_t, 2>> block = {};

  // Of GPTQ and AWQ.
  int64_t bits = 4;
  int64_t group_size = 128;     ///< inputs that share scales; -1: all
  bool ordered = false;         ///< X.g_idx says which inputs do
  bool zeros_less_one = false;  ///< the first form of GPTQ
};

/// Of an object "quantization_config". Throws Error if it describes what is not read.
[[nodiscard]] Quantization read_quantization(const json::Record& record);

}  // namespace evo::weights
