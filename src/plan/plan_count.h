// What a model of some shape costs, by part and without making it: parameters, and the arithmetic
// of a training step.
#pragma once

#include <cstdint>

#include "train/config.h"

namespace evo::plan {

/// The sum of all members that `parts` visits.
template <class Parts>
[[nodiscard]] double sum_of(Parts parts) {
  double sum = 0;
  const auto add = [&sum](const char*, auto value, const char*) {
    sum += static_cast<double>(value);
  };
  parts.visit(add);
  return sum;
}

/// Parameters by part.
struct ParameterCount {
  int64_t embedding = 0, attention = 0, feed_forward = 0, norms = 0;
  int64_t codes = 0, evolve_in = 0, places = 0, modulation = 0, inner_field = 0, maturity = 0,
          adapters = 0;

  template <class V>
  void visit(V& v) {
    v("embedding", embedding, "embedding and head");
    v("attention", attention, "attention");
    v("feed_forward", feed_forward, "feed-forward");
    v("norms", norms, "norms");
    v("codes", codes, "codes");
    v("evolve_in", evolve_in, "entry of evolving tokens");
    v("places", places, "places in a window");
    v("modulation", modulation, "modulation by time");
    v("inner_field", inner_field, "inner field");
    v("maturity", maturity, "maturity");
    v("adapters", adapters, "adapters");
  }
  [[nodiscard]] int64_t backbone() const { return embedding + attention + feed_forward + norms; }
};

/// Of the very list that a model of this shape declares; takes no memory for the weights.
[[nodiscard]] ParameterCount count_parameters(const model::ModelConfig& config);

/// Arithmetic per token of text in a training step of both streams, in FLOPs: a multiplication and
/// an addition count as two. As model_cost() has it: matrix products, and attention over half of
/// the sequence on average; what else there is shows in the efficiency.
struct TokenFlops {
  double mature = 0, evolving = 0, attention = 0, heads = 0, inner_field = 0;  // forward
  double head_gradients = 0;  ///< made in the forward pass, chunk by chunk of the logits
  double backward = 0;        ///< all other gradients: twice the forward pass
  double first_pass = 0;      ///< of self-conditioning, times the share of passes that have one
  double recomputation = 0;   ///< the layers' forward pass again (Korthikanti et al. 2022)

  template <class V>
  void visit(V& v) {
    v("mature", mature, "layers, mature tokens");
    v("evolving", evolving, "layers, evolving tokens");
    v("attention", attention, "scores and sums of attention");
    v("heads", heads, "heads (next token, own token, drafts)");
    v("inner_field", inner_field, "inner field");
    v("head_gradients", head_gradients, "gradients of the heads");
    v("backward", backward, "backward pass");
    v("first_pass", first_pass, "first pass of self-conditioning");
    v("recomputation", recomputation, "recomputed activations");
  }
  [[nodiscard]] double total() const { return sum_of(*this); }
  /// What the mathematics asks for: all but what is computed twice to save memory.
  [[nodiscard]] double useful() const { return total() - recomputation; }
};

[[nodiscard]] TokenFlops token_flops(const train::RunConfig& config);

}  // namespace evo::plan
