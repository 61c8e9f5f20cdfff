// Entropic time: progression time measured in information.
//
// t is the fraction of a token's context-free information that its latent still lacks,
//
//     t = H(w | z at signal-to-noise ratio g) / H(w)
//
// under the unigram prior and the current codes, with z = sqrt(a) c(w) + sqrt(1 - a) e and
// g = a / (1 - a). A uniform step of t is then a uniform amount of information. t = 1 is pure
// noise (g = 0); t -> 0 is a clean code (g -> infinity).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace evo::flow {

/// The monotone map between t and g. It is a table: t is piecewise linear in log g between knots,
/// and g is linear in t from the first knot up to (t = 1, g = 0). Below the last knot the map
/// stays at the last knot, which is therefore the cleanest level.
class EntropicTime {
 public:
  /// Knots [K], K >= 2: `log_snr` strictly increasing, `time` strictly decreasing inside (0, 1).
  /// Throws Error otherwise: knots come from checkpoints.
  EntropicTime(std::vector<double> log_snr, std::vector<double> time);

  /// A table to start from before any estimate: what codes of this size, spread evenly over the
  /// sphere, give a vocabulary of a few thousand tokens.
  static EntropicTime standard(int code_size);

  /// All of these take t in [0, 1].
  [[nodiscard]] double snr(double t) const;     ///< g(t); exactly 0 at t = 1
  [[nodiscard]] double signal(double t) const;  ///< a = g / (1 + g); exactly 0 at t = 1
  [[nodiscard]] double noise(double t) const;   ///< 1 - a = 1 / (1 + g), without cancellation
  [[nodiscard]] double kappa(double t) const;   ///< sqrt(a) / (1 - a) = sqrt(g (1 + g))
  /// -dg/dt, the exact derivative of snr() except at the knots, where it is the one on the side of
  /// larger t. 0 below min_time(). Exactness is what makes importance-weighted ELBO estimates
  /// unbiased for every table.
  [[nodiscard]] double snr_slope(double t) const;

  /// The inverse of snr(), for snr >= 0; min_time() for anything cleaner than the last knot.
  [[nodiscard]] double time(double snr) const;

  /// Time of the cleanest level.
  [[nodiscard]] double min_time() const { return time_.back(); }

  /// Elementwise over a batch; spans of equal length.
  void signal(std::span<const float> t, std::span<float> out) const;
  void kappa(std::span<const float> t, std::span<float> out) const;

  [[nodiscard]] const std::vector<double>& log_snr() const { return log_snr_; }
  [[nodiscard]] const std::vector<double>& time_values() const { return time_; }

 private:
  /// Index k of the segment [time_[k + 1], time_[k]] that holds t.
  [[nodiscard]] size_t segment(double t) const;

  std::vector<double> log_snr_;  // [K]
  std::vector<double> time_;     // [K]
};

struct EntropicTimeOptions {
  int knots = 64;     ///< K, 2 to 1000
  int samples = 512;  ///< latents drawn; fewer for a large vocabulary, see estimate_entropic_time
  uint64_t seed = 1;
  double max_log_snr = 9.0;  ///< the table never goes beyond; f32 logits are exact to 0.01 there
};

/// Monte Carlo estimate of the table for `codes` [V, d], every row of squared length d, and the
/// probabilities `unigram` [V]. The knots run from t = 0.999 to about t = 0.001, or to max_log_snr
/// if codes that nearly coincide keep more information than that unresolved.
///
/// Cost: (knots + 24) x samples x V exponentials. Where that exceeds 2^28 (two seconds of one core)
/// the number of samples is lowered, but not below 32. The result depends on the seed, not on the
/// number of threads.
///
/// Throws Error if a row has the wrong length, if `unigram` is no distribution over at least two
/// tokens, or if tokens with equal codes hide more than 0.0005 of the information, which no SNR
/// would bring back. Equal codes of (nearly) unused tokens, like the padding rows of a vocabulary,
/// are harmless.
EntropicTime estimate_entropic_time(std::span<const float> codes, int64_t d,
                                    std::span<const float> unigram,
                                    const EntropicTimeOptions& options = {});

}  // namespace evo::flow
