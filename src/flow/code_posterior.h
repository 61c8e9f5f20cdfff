// The posterior over tokens given one latent code and no context: the inner loops of the entropic
// time estimate.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace evo::flow {

/// For a latent of token w with noise e at SNR g the posterior over v is the softmax of
///     log u(v) + g c(w).c(v) + sqrt(g) e.c(v)                 (|c(v)|^2 = d for every v),
/// so two dot products per (latent, v) serve all SNRs and the exponentials dominate. They run in
/// f32 over blocks of tokens, in loops that the compiler turns into SIMD code.
class CodePosterior {
 public:
  /// `codes` [V, d] with rows of squared length d, `unigram` [V]. Tokens of probability 0 are left
  /// out. Throws Error as described at estimate_entropic_time(), for which `max_unresolved` says
  /// which part of the information equal codes may hide.
  CodePosterior(std::span<const float> codes, int64_t d, std::span<const float> unigram,
                double max_unresolved);

  [[nodiscard]] double entropy() const { return entropy_; }    ///< H(w) in nats
  [[nodiscard]] double variance() const { return variance_; }  ///< E |c(w) - E c|^2
  [[nodiscard]] int64_t code_size() const { return d_; }
  [[nodiscard]] int64_t count() const { return count_; }  ///< V', the tokens kept, with padding

  /// Index in [0, V') of the kept token at a quantile in [0, 1) of the unigram distribution.
  [[nodiscard]] int64_t token_at(double quantile) const;

  /// Entropies in nats of the posteriors at each SNR [K], averaged over the noises `normal` [d] and
  /// -`normal`: the mirror image cancels the term of first order in sqrt(g), which would drown the
  /// loss of entropy at low SNR.
  void entropies(int64_t token, std::span<const float> normal, std::span<const double> log_snr,
                 std::span<double> out) const;

 private:
  void project(std::span<const float> x, std::span<float> out) const;

  int64_t d_ = 0;
  int64_t count_ = 0;
  std::vector<float> codes_;        // [d, V']
  std::vector<float> log_prior_;    // [V']; padding is so unlikely that it never counts
  std::vector<double> cumulative_;  // [V'], ends at 1
  double entropy_ = 0;
  double variance_ = 0;
};

}  // namespace evo::flow
