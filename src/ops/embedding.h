// Operations that move rows and columns: table lookup, concatenation, slices.
#pragma once

#include <span>

#include "ops/linear.h"
#include "tensor/tape.h"

namespace evo {

/// Rows ids[r] of table [V, D]; returns [N, D]. The gradient adds rows of equal id in the order of
/// `ids`, whatever the number of threads.
Tensor embed(Tape& tape, const Weight& table, std::span<const int32_t> ids);

/// a [Na, D] above b [Nb, D]; returns [Na + Nb, D]. Either may have no rows.
Tensor concat_rows(Tape& tape, const Tensor& a, const Tensor& b);

/// parts[i] [N, n_i] side by side; returns [N, sum of n_i].
Tensor concat_cols(Tape& tape, std::span<const Tensor> parts);

/// A copy of rows [begin, end) of x [N, D].
Tensor slice_rows(Tape& tape, const Tensor& x, int64_t begin, int64_t end);

}  // namespace evo
