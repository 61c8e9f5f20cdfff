// Rounding arrays to bf16: nearest even, NaN kept.
#pragma once

#include <cstdint>

namespace evo::ops {

/// to[i] = bf16(from[i]), i < count.
void convert_to_bf16(const float* from, int64_t count, uint16_t* to);

/// The same, but kept as f32: to[i] = float(bf16(from[i])). `to` may be `from`.
void round_to_bf16(const float* from, int64_t count, float* to);

/// The other way: to[i] = float(from[i]), exact.
void widen_bf16(const uint16_t* from, int64_t count, float* to);

}  // namespace evo::ops
