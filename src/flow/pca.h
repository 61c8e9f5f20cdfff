// Principal components of an embedding table, as codes that need no training.
#pragma once

#include <cstdint>
#include <span>

namespace evo {

/// Projects the centred rows of `table` [V, D] on their d directions of largest variance, each
/// scaled to unit variance: codes [V, d]. Directions come from orthogonal iteration on the
/// covariance of at most 8192 rows spread evenly over the table; the sign of each makes its largest
/// component positive, so that refreshed codes do not flip. Deterministic. d <= D.
void principal_codes(std::span<const float> table, int64_t D, int64_t d, std::span<float> codes);

}  // namespace evo
