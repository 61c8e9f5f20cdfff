#include "decode/draft/proposer.h"

#include <algorithm>
#include <cmath>

#include "decode/session/logprobs.h"
#include "ops/head.h"
#include "ops/maturity.h"
#include "ops/softmax.h"

namespace evo::decode {
namespace {

constexpr size_t kTraceTop = 5;

/// The field ahead learns which token the model thinks likeliest, and so becomes surer than that
/// is: its logits are for another temperature. Greedy choices are the same.
SamplerOptions of_field_ahead(SamplerOptions options) {
  constexpr double kAheadFlatness = 0.7;  // drafts kept at 0.8 and 1.0: docs/log.md, 2026-11-28
  options.temperature = std::min(kMaxTemperature, options.temperature / kAheadFlatness);
  return options;
}

}  // namespace

Proposer::Proposer(const Decoder& decoder, const DecodeOptions& options)
    : decoder_(decoder),
      options_(options),
      sampler_(options.sampler, options.seed),
      ahead_sampler_(of_field_ahead(options.sampler), options.seed) {}

Proposal Proposer::of_evolving(const EvolvingToken& token, const tensor::Tensor& o, int64_t rank,
                               const Shaper& shaper) const {
  const model::Model& model = decoder_.model();
  const float kappa[] = {static_cast<float>(model.time().kappa(token.time))};
  const tensor::Tensor z = tensor::Tensor::empty({1, model.config().code_size});
  std::ranges::copy(token.z, z.f32());
  const ops::PosteriorTerm term{z, kappa, decoder_.codes()};
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor logits =
      decoder_.logits(tape, o, model.unembedding(), kappa[0] > 0 ? &term : nullptr);
  Proposal proposal = propose(o, logits, {sampler_, model.maturity_weight()}, rank, shaper);
  proposal.time = token.time;
  if (options_.trace) proposal.latent = token.z;
  return proposal;
}

Proposal Proposer::of_ahead(const tensor::Tensor& o, const tensor::Tensor& logits, int64_t rank,
                            const Shaper& shaper) const {
  const model::Model& model = decoder_.model();
  return propose(o, logits, {ahead_sampler_, model.ahead_maturity_weight(), model.ahead_tokens()},
                 rank, shaper);
}

Proposal Proposer::propose(const tensor::Tensor& o, const tensor::Tensor& logits,
                           const Field& field, int64_t rank, const Shaper& shaper) const {
  std::span<const int32_t> tokens = field.tokens;
  std::span<const float> known = logits.values();
  std::vector<float> all, storage;
  if (!tokens.empty() && !shaper.is_idle()) {  // which wants the logits of all tokens
    all.assign(decoder_.model().config().vocab_size, kNeverLogit);
    for (size_t i = 0; i < tokens.size(); ++i) all[tokens[i]] = known[i];
    known = all;
    tokens = {};
  }
  const std::span<const float> shaped = shaper.shape(known, storage);
  Proposal proposal;
  proposal.token = field.sampler.choose(shaped, rank, tokens);
  if (options_.trace) {
    proposal.top = likeliest(shaped, kTraceTop);
    for (int32_t& token : proposal.top) {
      token = tokens.empty() ? token : tokens[token];
    }
  }
  const ops::SoftmaxRow softmax = ops::softmax_row(logits.f32(), logits.cols());
  const auto log_pmax = static_cast<float>(-std::log(softmax.sum));
  proposal.entropy = static_cast<float>(softmax.entropy());
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  proposal.maturity = ops::maturity(tape, o, std::span(&log_pmax, 1),
                                    std::span(&proposal.entropy, 1), field.maturity_weight, {}, {})
                          .probability[0];
  return proposal;
}

}  // namespace evo::decode
