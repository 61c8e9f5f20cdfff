// Operations that move rows and columns: table lookup, concatenation, slices.
#pragma once

#include <span>

#include "ops/linear.h"
#include "tensor/tape.h"

namespace evo::ops {

/// Rows ids[r] of table [V, D]; returns [N, D]. The gradient adds rows of equal id in the order of
/// `ids`, whatever the number of threads.
tensor::Tensor embed(tensor::Tape& tape, const Weight& table, std::span<const int32_t> ids);

/// a [Na, D] above b [Nb, D]; returns [Na + Nb, D]. Either may have no rows.
tensor::Tensor concat_rows(tensor::Tape& tape, const tensor::Tensor& a, const tensor::Tensor& b);

/// parts[i] [N, n_i] side by side; returns [N, sum of n_i].
tensor::Tensor concat_cols(tensor::Tape& tape, std::span<const tensor::Tensor> parts);

/// A copy of rows [begin, end) of x [N, D].
tensor::Tensor slice_rows(tensor::Tape& tape, const tensor::Tensor& x, int64_t begin, int64_t end);

}  // namespace evo::ops
