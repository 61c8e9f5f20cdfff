#include "plan/plan_memory.h"

#include <algorithm>

#include "model/layout.h"
#include "train/ranks/partition.h"
#include "train/trainer/checkpointing.h"

namespace evo::plan {
namespace {

constexpr double kFloat = 4;  // bytes

/// Extents in floats, as doubles: sizes may be beyond any machine.
struct Shape {
  Shape(const train::RunConfig& c, const MemoryChoices& choices)
      : bf16(choices.precision == tensor::Precision::kBF16),
        mature(static_cast<double>(choices.sequences) * static_cast<double>(c.sequence_length)),
        evolving(c.flow ? mature : 0),
        width(static_cast<double>(c.hidden_size)),
        heads(static_cast<double>(c.num_attention_heads)),
        kv_heads(static_cast<double>(c.num_key_value_heads)),
        queries(static_cast<double>(c.query_size())),
        qkv(static_cast<double>(c.query_size() + 2 * c.key_size())),
        gate_up(static_cast<double>(c.gate_up_size())),
        feed_forward(static_cast<double>(c.intermediate_size)),
        vocabulary(static_cast<double>(c.vocab_size)),
        code(static_cast<double>(c.code_size)),
        features(static_cast<double>(c.time_features)),
        inner(static_cast<double>(c.inner_size)),
        ahead(static_cast<double>(c.ahead_size)),
        ahead_states(static_cast<double>(c.ahead_size > 0 ? c.ahead_states() : 0)),
        rank(static_cast<double>(c.adapter_rank)) {}
  [[nodiscard]] double rows() const { return mature + evolving; }

  bool bf16;
  double mature, evolving;  // rows of a pass: Nm, Ne
  double width, heads, kv_heads, queries, qkv, gate_up, feed_forward, vocabulary, code, features,
      inner, ahead, ahead_states, rank;
};

/// What the tape keeps of a layer, in floats. The outputs of both norms and of the activation are
/// given back and made again in the backward pass (Tape::recompute()).
double layer_floats(const train::RunConfig& c, const Shape& s) {
  const double norms = 2;                                // 1 / rms of a row, twice
  const double attention = s.qkv + s.queries + s.heads;  // q | k | v, result, log sums
  const double head_norm = c.qk_norm ? s.qkv + s.heads + s.kv_heads : 0;
  double residuals = 4 * s.width;  // two branches, x after each
  if (c.norms_outputs) residuals += 2 * s.width + 2;
  if (c.residual_scale != 1) residuals += 2 * s.width;
  double floats = s.rows() * (norms + attention + head_norm + residuals + s.gate_up);
  floats += s.evolving * 4 * s.width;  // modulation
  if (c.adapter_rank == 0) return floats;
  // Of each of the four matrices: the evolving rows of its input, [r], and what they add.
  const double inputs = 2 * s.width + s.queries + s.feed_forward;
  const double outputs = s.qkv + 2 * s.width + s.gate_up;
  return floats + s.evolving * (inputs + 4 * s.rank + outputs);
}

/// Embedded tokens and latents, in floats.
double input_floats(const train::RunConfig& c, const Shape& s) {
  if (!c.flow) return s.mature * s.width;
  // z, its gradient and previous x; phi; these side by side.
  const double latents = 5 * s.code + 2 * s.features;
  return 2 * s.rows() * s.width + s.evolving * latents + 2 * s.vocabulary * s.code;
}

double logit_floats(const Shape& s) {
  const double floats = s.bf16 ? 32 << 20 : 8 << 20;  // as head() cuts its rows
  const double rows = std::clamp(floats / s.vocabulary, 64.0, 512.0);
  return std::min(rows, s.mature) * s.vocabulary;
}

/// What the field ahead keeps until its backward pass, in floats: its inputs, twice, and states;
/// queries, beside keys of mature rows; two branches with their norms; gate, up and activation.
double ahead_floats(const Shape& s) {
  if (s.ahead == 0) return 0;
  const double inputs = 4 * s.width, states = 4 * s.ahead_states + 2 * s.width;
  const double attention = s.rows() * (s.qkv + s.queries + s.heads) + s.mature * s.qkv;
  const double query = s.qkv + s.qkv + s.queries;
  const double branches = 8 * s.width + 3 * s.ahead;
  return attention + s.evolving * (inputs + states + query + branches);
}

/// What there is beside inputs and layers at the fullest moment of a pass, in floats: with the
/// logits of the inner field's head, in the inner field's backward pass, or in that of the last
/// layer's feed-forward part, for which `remade` floats of the layer may have been made again.
/// Final states and their gradient are there in the first two; when the layers' turn comes they
/// have passed it on.
double other_floats(const train::RunConfig& c, const Shape& s, double remade) {
  const double states = 2 * s.rows() * s.width;
  // States | embedding | both side by side | gates | scan | drift | o and its gradient.
  const double inner = s.evolving * (7 * s.width + 3 * s.inner);
  const double inner_gradients =
      s.evolving * std::max({s.width, s.inner, 3 * s.inner - 2 * s.width});
  // The activation and its gradient, that of gate and up; the residual stream's gradient less what
  // the layer has given back already; the modulation's gradient.
  const double in_layer =
      remade + s.rows() * (s.gate_up + 2 * s.feed_forward - s.width) + s.evolving * 4 * s.width;
  const double drafts = states + inner + ahead_floats(s);
  if (c.freeze_flow) {
    // The layers run forward only: of one, all that it has in its feed-forward part.
    const double forward =
        s.rows() * (2 * s.width + s.qkv + s.queries + s.gate_up + s.feed_forward);
    return std::max({drafts + logit_floats(s), drafts + inner_gradients, forward});
  }
  return std::max({drafts + logit_floats(s), drafts + inner_gradients, in_layer});
}

/// Operands of the largest product, in bf16: the head's matrix, or gradients of gate and up with
/// their input. (Where a chunk of logits is copied as well, it is a smaller one.)
double copy_bytes(const Shape& s) {
  const double head = s.vocabulary * s.width;
  const double layer = s.rows() * (s.gate_up + s.width);
  return 2 * std::max(head, layer);
}

struct TrainedCount {
  int64_t all = 0, with_gradient = 0, trained = 0;
};

TrainedCount count_trained(const train::RunConfig& config) {
  model::ParameterStore store;
  model::declare_parameters(config, store);
  TrainedCount count;
  for (const model::Parameter& p : store.list()) {
    count.all += p.numel();
    if (train::has_gradient(config, p.name)) count.with_gradient += p.numel();
    if (train::is_trained(config, p)) count.trained += p.numel();
  }
  return count;
}

}  // namespace

RankMemory rank_memory(const train::RunConfig& config, const MemoryChoices& choices) {
  const Shape s(config, choices);
  const TrainedCount parameters = count_trained(config);
  const double trained = kFloat * static_cast<double>(parameters.trained);
  const double shards = static_cast<double>(choices.ranks);
  const double layers = static_cast<double>(config.num_hidden_layers);
  const double layer = layer_floats(config, s);
  // With recomputation every layer but the one at hand keeps its input only.
  const double kept = config.freeze_flow ? 0
                      : config.recompute ? layers * s.rows() * s.width
                                         : layers * layer;
  RankMemory memory;
  memory.weights = kFloat * static_cast<double>(parameters.all);
  memory.gradients = kFloat * static_cast<double>(parameters.with_gradient);
  memory.moments = 2 * trained / shards;
  memory.average = trained / shards;
  memory.activations = kFloat * (input_floats(config, s) + kept);
  memory.logits = kFloat * logit_floats(s);
  memory.working = kFloat * other_floats(config, s, config.recompute ? layer : 0) - memory.logits;
  if (s.bf16) memory.copies = copy_bytes(s);
  // What arrives of a rank's own part is as large as the bucket; bf16 is packed before it leaves.
  if (choices.ranks > 1)
    memory.buckets = kFloat * static_cast<double>(train::Partition::bucket_floats(choices.ranks));
  return memory;
}

}  // namespace evo::plan
