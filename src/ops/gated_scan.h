// The recurrence of the inner field: a gated running average along each block.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/tape.h"

namespace evo::ops {

/// s_r = (1 - sigmoid(u_r)) * s_{r-1} + sigmoid(u_r) * tanh(y_r), with s = 0 before each block.
/// a [N, 2R] holds u | y; block_starts[r] != 0 marks the first row of a block (row 0 always is one;
/// `block_starts` is copied). Returns s [N, R].
tensor::Tensor gated_scan(tensor::Tape& tape, const tensor::Tensor& a,
                          std::span<const uint8_t> block_starts);

/// One row of the scan, for decoding: `state` [R] goes from s_{r-1} to s_r given row a [2R].
/// Gives the same bits as gated_scan.
void gated_step(std::span<const float> a, std::span<float> state);

}  // namespace evo::ops
