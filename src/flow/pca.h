// Principal components of a table: of embeddings, as codes that need no training; of codes, as a
// plane to look at them in.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace evo::flow {

struct PrincipalAxes {
  std::vector<double> mean;        ///< [D] of the rows
  std::vector<double> directions;  ///< [d, D] orthonormal, the largest variance first
  std::vector<double> deviations;  ///< [d] standard deviation of the rows along each
};

/// The d directions of largest variance of the rows of `table` [V, D]. They come from orthogonal
/// iteration on the covariance of at most 8192 rows spread evenly over the table; the sign of each
/// makes its largest component positive, so that those of a table that changed little do not flip.
/// Deterministic. d <= D.
[[nodiscard]] PrincipalAxes principal_axes(std::span<const float> table, int64_t D, int64_t d);

/// Projects the centred rows of `table` [V, D] on their d principal axes, each scaled to unit
/// variance: codes [V, d]. Rows that equal an earlier one, as those of tokens that a model never
/// saw may, get codes of unit variance at random instead: equal codes could never be told apart.
void principal_codes(std::span<const float> table, int64_t D, int64_t d, std::span<float> codes);

}  // namespace evo::flow
