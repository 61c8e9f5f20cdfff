// Rotary frequencies, and how models stretch them to texts longer than those of their training.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace evo::ops {

/// Names and meanings are those of Hugging Face's "rope_scaling"; a setting that a type does not
/// know is ignored. Where 0 stands for "derived", the formula is in rope_frequencies().
struct RopeScaling {
  std::string rope_type = "default";             ///< or "linear", "llama3", "yarn", "longrope"
  double factor = 1;                             ///< how many times longer the texts become
  int64_t original_max_position_embeddings = 0;  ///< of the training texts; but for linear
  double low_freq_factor = 1;                    ///< llama3
  double high_freq_factor = 4;                   ///< llama3
  double beta_fast = 32;                         ///< yarn: turns per training text
  double beta_slow = 1;                          ///< yarn
  double attention_factor = 0;       ///< yarn, longrope: of queries and keys; 0: derived
  double mscale = 0;                 ///< yarn; 0: absent
  double mscale_all_dim = 0;         ///< yarn; 0: absent
  bool truncate = true;              ///< yarn: bounds in whole frequencies
  std::vector<double> short_factor;  ///< longrope: divisors of frequencies

  bool operator==(const RopeScaling&) const = default;

  template <class V>
  void visit(V& v) {
    v("rope_type", rope_type, "default, linear, llama3, yarn or longrope");
    v("factor", factor, "how many times longer the texts become");
    v("original_max_position_embeddings", original_max_position_embeddings,
      "longest text of the training before; but for linear");
    v("low_freq_factor", low_freq_factor, "llama3");
    v("high_freq_factor", high_freq_factor, "llama3");
    v("beta_fast", beta_fast, "yarn");
    v("beta_slow", beta_slow, "yarn");
    v("attention_factor", attention_factor, "yarn and longrope; 0: follows from the factor");
    v("mscale", mscale, "yarn; 0: absent");
    v("mscale_all_dim", mscale_all_dim, "yarn; 0: absent");
    v("truncate", truncate, "yarn");
    v("short_factor", short_factor, "longrope: divisors of the frequencies in texts up to that");
  }
  [[nodiscard]] bool is_default() const { return rope_type == "default"; }
  /// Throws Error naming the setting that is missing or impossible.
  void validate() const;
};

struct RopeFrequencies {
  std::vector<double> per_position;  ///< [head_size / 2] radians
  double attention_factor = 1;       ///< of every rotated query and key
};

/// theta^(-2i / head_size), changed as `scaling` says. `scaling` must be valid.
[[nodiscard]] RopeFrequencies rope_frequencies(int head_size, double theta,
                                               const RopeScaling& scaling = {});

}  // namespace evo::ops
