// The unified functional L(path) for any denoiser, token order and schedule, by simulation.
//
// Observing token i up to SNR g_i is observing y_i(g_i) = g_i c_i + W_i(g_i), W_i a Brownian
// motion: y_i(g) = sqrt(g (1 + g)) z_i, z_i the latent. For every path of g from 0 to g_end whose
// direction depends only on what has been observed,
//
//     -log p(w) <= E sum_i [ integral of 1/2 |c_i - x_i|^2 dg_i ] - sum_i log p(w_i | z at g_end)
//
// with equality (up to the tokens' dependence that is left at g_end) for the exact posterior.
// All arithmetic is double; it is meant for small, exactly solvable models.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/random.h"
#include "flow/path.h"

namespace evo::flow {

/// Fills `posterior` [n, V] with p(w_i = v | z) for latents `z` [n, d] at SNRs `snr` [n].
using Denoiser = std::function<void(std::span<const double> z, std::span<const double> snr,
                                    std::span<double> posterior)>;

/// The next corner of the path: raises entries of `snr` [n] in place, from what was seen last,
/// `posterior` [n, V]. Returns false, and changes nothing, at the end of the path.
using Schedule = std::function<bool(std::span<const double> posterior, std::span<double> snr)>;

/// The corners of `path` for n tokens that visit `levels` (ascending SNRs, 0 not included) group
/// after group. The schedule keeps its place: make a new one for each simulation.
[[nodiscard]] Schedule fixed_schedule(const Path& path, int n, std::vector<double> levels);

struct PathIntegral {
  /// sum_i integral of 1/2 |c_i - x_i|^2 dg_i, one uniformly random point per leg: unbiased for
  /// any step length.
  double flow = 0;
  /// sum_i integral of (c_i - x_i) dW_i, of mean zero for every denoiser: a control variate. For
  /// the exact posterior and short legs flow + martingale + reconstruction = -log p(w) on every
  /// single simulation (Girsanov), not only on average.
  double martingale = 0;
  /// -sum_i log p(w_i | z) at the end of the path.
  double reconstruction = 0;

  [[nodiscard]] double bound() const { return flow + martingale + reconstruction; }
};

/// One simulation for the text `tokens` [n] with `codes` [V, d].
[[nodiscard]] PathIntegral integrate_path(std::span<const int> tokens,
                                          std::span<const double> codes, int d,
                                          const Denoiser& denoiser, const Schedule& schedule,
                                          Random& random);

}  // namespace evo::flow
