// Token codes and the noise bridge: c(w) = sqrt(d) C_w / |C_w|, z = sqrt(a) c(w) + sqrt(1 - a) e.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tape.h"

namespace evo::ops {

/// table [V, d] -> codes [V, d], every row scaled to length sqrt(d). A row that is zero (or not
/// finite) has no direction: Error.
tensor::Tensor normalize_codes(tensor::Tape& tape, const tensor::Tensor& table);

/// Row r of the result [n, d] is sqrt(a_r) codes[ids_r] + sqrt(1 - a_r) noise_r, a_r = signal[r] in
/// [0, 1]. The gradient goes to `codes` if it wants one, summed over equal ids in row order, so it
/// does not depend on the number of threads; `noise` gets none.
tensor::Tensor gaussian_bridge(tensor::Tape& tape, const tensor::Tensor& codes,
                               std::span<const int32_t> ids, std::span<const float> signal,
                               const tensor::Tensor& noise);

}  // namespace evo::ops
