#include "plan/plan_count.h"

#include "model/layout.h"

namespace evo::plan {
ParameterCount count_parameters(const model::ModelConfig& config) {
  const model::PartCounts counts = model::count_parts(config);
  const auto of = [&](model::NetworkPart part) { return counts[static_cast<size_t>(part)]; };
  return {.embedding = of(model::NetworkPart::kEmbedding),
          .attention = of(model::NetworkPart::kAttention) + of(model::NetworkPart::kBiases),
          .feed_forward = of(model::NetworkPart::kFeedForward) + of(model::NetworkPart::kRouter) +
                          of(model::NetworkPart::kExperts),
          .norms = of(model::NetworkPart::kNorms),
          .codes = of(model::NetworkPart::kCodes),
          .evolve_in = of(model::NetworkPart::kEvolveIn),
          .places = of(model::NetworkPart::kPlaces),
          .modulation = of(model::NetworkPart::kModulation),
          .inner_field = of(model::NetworkPart::kInnerField),
          .maturity = of(model::NetworkPart::kMaturity),
          .adapters = of(model::NetworkPart::kAdapters)};
}

TokenFlops token_flops(const train::RunConfig& c) {
  const ParameterCount parameters = count_parameters(c);
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  const double streams = c.flow ? 2 : 1;
  // A weight meets every row once: 2 FLOPs. Biases, which are no matrices, are in `attention` too:
  // one in ten thousand.
  const double layers = 2 * real(parameters.attention + parameters.feed_forward);
  const double head = 2 * real(c.vocab_size) * real(c.hidden_size);
  // Posterior term and mean code: two products with the codes.
  const double codes = 4 * real(c.vocab_size) * real(c.code_size);
  const double per_key = 4 * real(c.num_hidden_layers * c.query_size());

  TokenFlops flops;
  flops.mature = layers;
  flops.attention = streams * per_key * real(c.sequence_length) / 2;
  flops.heads = head;
  flops.head_gradients = c.ar_weight > 0 ? 2 * head : 0;
  if (c.flow) {
    flops.evolving =
        layers + 2 * real(parameters.modulation + parameters.evolve_in + parameters.adapters);
    flops.inner_field = 2 * real(parameters.inner_field);
    const double ahead_heads = c.ahead_size > 0 ? head : 0;
    flops.heads += 2 * (head + codes) + ahead_heads;
    // The heads of what drafts are detached: their input has a gradient, matrix and codes none.
    flops.head_gradients += 2 * (head + codes) + head + ahead_heads;
  }
  const double trunk = flops.mature + flops.evolving + flops.attention;
  flops.backward = 2 * (trunk + flops.inner_field);
  if (c.flow) flops.first_pass = c.self_conditioning * (trunk + head + codes);
  if (c.recompute) flops.recomputation = trunk;
  return flops;
}

}  // namespace evo::plan
