#include "train/loss/loss.h"

#include <algorithm>

#include "base/threads/parallel.h"
#include "flow/bridge.h"
#include "flow/elbo.h"
#include "ops/codes.h"
#include "ops/embedding.h"
#include "ops/maturity.h"

namespace evo::train {
namespace {

// Purposes of random streams within a batch.
enum NoiseUse : uint64_t { kFirstNoise = 1, kBridgeNoise, kPolicy };

/// The rows over which a loss is a mean: those with a target that counts, and how many of them
/// the whole batch has.
struct Counted {
  std::vector<uint8_t> rows;
  double number = 0;
};

Counted mature_counted(const TrainingBatch& batch) {
  Counted counted{{}, static_cast<double>(batch.row_counts().learnt)};
  for (size_t r = 0; r < batch.targets.size(); ++r) {
    counted.rows.push_back(batch.learns(r) ? 1 : 0);
  }
  return counted;
}

Counted evolving_counted(const TrainingBatch& batch, const EvolvingRows& evolving) {
  return {evolving.learn, static_cast<double>(batch.row_counts().learnt)};
}

/// Those that are not the first of their block.
Counted later_counted(const TrainingBatch& batch, const EvolvingRows& evolving) {
  Counted counted{evolving.learn, static_cast<double>(batch.row_counts().not_first)};
  for (size_t e = 0; e < counted.rows.size(); ++e) {
    if (evolving.starts[e] != 0) counted.rows[e] = 0;
  }
  return counted;
}

/// `total` in equal shares over the rows that count.
std::vector<float> shares(const Counted& counted, double total) {
  std::vector<float> weights(counted.rows.size(), 0.0f);
  for (size_t r = 0; r < weights.size(); ++r) {
    if (counted.rows[r] != 0) weights[r] = static_cast<float>(total / counted.number);
  }
  return weights;
}

double mean(const Counted& counted, std::span<const float> values) {
  double sum = 0;
  for (size_t r = 0; r < values.size(); ++r) {
    if (counted.rows[r] != 0) sum += values[r];
  }
  return counted.number > 0 ? sum / counted.number : 0;
}

/// Standard normal [Ne, d]; every row has its own stream, so threads do not matter.
tensor::Tensor noise_rows(const TrainingBatch& batch, const EvolvingRows& evolving, NoiseUse use,
                          int64_t width) {
  tensor::Tensor noise = tensor::Tensor::empty({evolving.size(), width});
  parallel_for(evolving.size(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t e = begin; e < end; ++e) {
      const auto row = static_cast<uint64_t>(batch.first_row + evolving.rows[e]);
      Random random(batch.seed, stream_id({batch.stream, use, row}));
      random.fill_normal({noise.row(e), static_cast<size_t>(width)});
    }
  });
  return noise;
}

/// The draws of the self-conditioning policy, one after the other over the rows of a whole batch:
/// one per sequence, one per row.
class PolicyDraws {
 public:
  explicit PolicyDraws(const TrainingBatch& batch)
      : random_(batch.seed, stream_id({batch.stream, kPolicy})), length_(batch.length) {}
  struct Row {
    bool trust_truth = true;  // of the row's sequence
    double pace = 0;          // uniform in [0, 1)
  };
  /// Of a row of the whole batch behind those that were asked for before.
  Row of(int64_t row) {
    Row drawn;
    while (row_ <= row) drawn = next();
    return drawn;
  }

 private:
  Row next() {
    if (row_++ % length_ == 0) trust_truth_ = random_.uniform() < 0.5;
    return {trust_truth_, random_.uniform()};
  }

  Random random_;
  int64_t length_, row_ = 0;
  bool trust_truth_ = true;
};

std::vector<float> kappas(const flow::EntropicTime& time, std::span<const float> times) {
  std::vector<float> kappa(times.size());
  time.kappa(times, kappa);
  return kappa;
}

/// Latents of the true codes at the planned times.
Latents first_latents(tensor::Tape& tape, const model::Model& model, const TrainingBatch& batch,
                      const EvolvingRows& evolving, const tensor::Tensor& codes) {
  std::vector<float> signal(evolving.times.size());
  model.time().signal(evolving.times, signal);
  const int64_t width = model.config().code_size;
  return {ops::gaussian_bridge(tape, codes, evolving.targets, signal,
                               noise_rows(batch, evolving, kFirstNoise, width)),
          tensor::Tensor::zeros({evolving.size(), width}), evolving.times};
}

/// The self-conditioned start: a pass without gradient gives each row's posterior; the policy moves
/// the row to t' <= t, in proportion to how sure it is; z is bridged to t' towards the true code on
/// half of the sequences and towards the model's own hypothesis on the others, where the target
/// stays the truth: that teaches revision, and how far a hint can be trusted.
Latents self_conditioned_latents(const model::Model& model, const TrainingBatch& batch,
                                 const EvolvingRows& evolving, const tensor::Tensor& codes,
                                 const Latents& first) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const model::ForwardInput input = two_stream_input(batch, first);
  const tensor::Tensor h = model.forward(tape, input);
  const std::vector<float> kappa = kappas(model.time(), first.times);
  const ops::PosteriorTerm term{first.z, kappa, codes.detach()};
  const ops::HeadResult posterior =
      ops::head(tape, h, input.mature(), input.evolving(), model.unembedding(), &term, nullptr);

  const int64_t width = model.config().code_size;
  const tensor::Tensor noise = noise_rows(batch, evolving, kBridgeNoise, width);
  Latents next{tensor::Tensor::empty(first.z.shape()), posterior.mean_code, first.times};
  PolicyDraws draws(batch);
  for (int64_t r = 0; r < first.z.rows(); ++r) {
    const auto i = static_cast<size_t>(r);
    const auto [trust_truth, pace] = draws.of(batch.first_row + evolving.rows[i]);
    const double confidence = std::exp(static_cast<double>(posterior.log_pmax[i]));
    const double t = first.times[i];
    const double to = std::max(std::min(t, model.time().min_time()), t * (1 - pace * confidence));
    const flow::BridgeCoefficients step =
        flow::bridge(model.time().signal(t), model.time().signal(to));
    const auto size = static_cast<size_t>(width);
    const int32_t hypothesis = trust_truth ? evolving.targets[i] : posterior.argmax[i];
    flow::blend(step, {first.z.row(r), size}, {codes.row(hypothesis), size}, {noise.row(r), size},
                {next.z.row(r), size});
    next.times[i] = static_cast<float>(to);
  }
  return next;
}

/// Weights of |c - x|^2 whose sum is the ELBO's integral, as a mean over rows of uniform time.
std::vector<float> elbo_weights(const flow::EntropicTime& time, const TrainingBatch& batch,
                                const EvolvingRows& evolving, std::span<const float> times,
                                double scale) {
  const auto rows = static_cast<double>(batch.row_counts().elbo);
  std::vector<float> weights(times.size(), 0.0f);
  for (size_t i = 0; i < times.size(); ++i) {
    if (!batch.has_uniform_time(static_cast<size_t>(evolving.rows[i]))) continue;
    const double rate =
        flow::elbo_rate(1, time.snr_slope(times[i])) * flow::elbo_weight(time.min_time());
    weights[i] = static_cast<float>(scale * rate / rows);
  }
  return weights;
}

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// What a field drafted, o [rows, D], what it should have, and which rows' losses count.
struct Drafts {
  tensor::Tensor o;
  tensor::Tensor maturity_weight;
  const ops::PosteriorTerm* term;
  std::span<const int32_t> targets;
  Counted counted;
};

struct DraftLosses {
  double nll = 0, maturity = 0;  ///< means
};

/// Cross-entropy of the drafts, and of the guess whether the drafted token is the right one.
DraftLosses draft_losses(tensor::Tape& tape, const model::Model& model, const Drafts& drafts,
                         const LossWeights& weights, double scale) {
  const std::vector<float> nll_weights = shares(drafts.counted, weights.inner * scale);
  const ops::HeadLosses losses{drafts.targets, nll_weights};
  const auto rows = std::ssize(drafts.targets);
  const ops::HeadResult drafted =
      ops::head(tape, drafts.o, 0, rows, model.detached_unembedding(), drafts.term, &losses);
  std::vector<float> kept(drafts.targets.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    kept[i] = drafted.argmax[i] == drafts.targets[i] ? 1.0f : 0.0f;
  }
  const std::vector<float> maturity_weights = shares(drafts.counted, weights.maturity * scale);
  const ops::MaturityResult mature =
      ops::maturity(tape, drafts.o.detach(), drafted.log_pmax, drafted.entropy,
                    drafts.maturity_weight, kept, maturity_weights);
  return {mean(drafts.counted, drafted.nll),
          weights.maturity > 0 ? mature.loss / (weights.maturity * scale) : 0};
}

/// What the field that drafts ahead sees of a batch; first rows of blocks stand alone.
model::AheadInput ahead_input(const TrainingBatch& batch, const EvolvingRows& evolving,
                              const tensor::Tensor& h, const tensor::Tensor& keys) {
  model::AheadInput ahead{tensor::Tensor::empty({evolving.size(), h.cols()}),
                          keys,
                          evolving.previous,
                          {},
                          {},
                          evolving.starts};
  for (size_t e = 0; e < evolving.rows.size(); ++e) {
    const int32_t row = evolving.rows[e], before = evolving.sees[e].context_end - 1;
    std::copy_n(h.row(before), h.cols(), ahead.h.row(static_cast<int64_t>(e)));
    ahead.positions.push_back(batch.positions[row]);
    ahead.context.push_back({evolving.sees[e].context_begin, before + 1, 0, 0});
    if (row == before + 1) ahead.starts[e] = 1;
  }
  return ahead;
}

}  // namespace

LossReport training_loss(tensor::Tape& tape, const model::Model& model, const TrainingBatch& batch,
                         const LossWeights& weights, double scale) {
  LossReport report;
  const auto rows = static_cast<int64_t>(batch.targets.size());
  const EvolvingRows evolving = batch.evolving_rows();
  const bool flow = evolving.size() > 0;
  using CodeGradient = ops::HeadLosses::CodeGradient;

  // Latents of both streams, then one pass.
  tensor::Tensor codes;
  Latents latents;
  if (flow) {
    codes = model.codes(tape);
    // Only the cross-entropy mode lets gradients through the latents into the codes.
    const bool through_z =
        weights.code_gradient == CodeGradient::kCrossEntropy && !batch.self_condition;
    latents = first_latents(tape, model, batch, evolving, through_z ? codes : codes.detach());
    if (batch.self_condition) {
      latents = self_conditioned_latents(model, batch, evolving, codes, latents);
    }
  }
  tensor::Tape unrecorded(tensor::Tape::Mode::kInference, tape.precision());
  const bool trains_trunk = weights.ar > 0 || weights.flow > 0;
  const bool drafts_ahead = flow && model.config().ahead_size > 0;
  tensor::Tensor ahead_keys;
  const tensor::Tensor h =
      model.forward(trains_trunk ? tape : unrecorded, two_stream_input(batch, latents), {},
                    drafts_ahead ? &ahead_keys : nullptr);

  // The staircase leg: exact autoregressive cross-entropy.
  const bool trains_ar = weights.ar > 0;
  const Counted mature = mature_counted(batch);
  const std::vector<float> ar_weights = shares(mature, trains_ar ? weights.ar * scale : scale);
  const ops::HeadLosses ar_losses{batch.targets, ar_weights};
  const ops::HeadResult ar =
      trains_ar ? ops::head(tape, h, 0, rows, model.unembedding(), nullptr, &ar_losses)
                : ops::head(unrecorded, h, 0, rows, model.unembedding(), nullptr, &ar_losses);
  report.ar_nll = mean(mature, ar.nll);
  report.total = weights.ar * report.ar_nll;
  if (!flow) return report;

  // The flow: every evolving row's posterior against its own token.
  const std::vector<float> kappa = kappas(model.time(), latents.times);
  const Counted counted = evolving_counted(batch, evolving);
  const std::vector<float> flow_weights = shares(counted, weights.flow * scale);
  // After self-conditioning times are no longer uniform, so those passes do not estimate the ELBO.
  const bool estimates_elbo = !batch.self_condition && weights.flow > 0;
  const std::vector<float> squared = elbo_weights(model.time(), batch, evolving, latents.times,
                                                  estimates_elbo ? weights.flow * scale : 0);
  const ops::PosteriorTerm term{latents.z, kappa, codes};
  const ops::HeadLosses flow_losses{evolving.targets, flow_weights, weights.code_gradient, squared};
  const ops::HeadResult posterior =
      ops::head(tape, h, rows, evolving.size(), model.unembedding(), &term, &flow_losses);
  report.flow = mean(counted, posterior.nll);
  if (estimates_elbo) {
    report.elbo_rows = batch.own_row_counts().elbo;
    report.elbo =
        dot(elbo_weights(model.time(), batch, evolving, latents.times, 1), posterior.squared_error);
  }

  // The fields draft each block left to right from the truth before each row; everything that they
  // read is detached, so the backbone does not notice them.
  const tensor::Tensor states = ops::slice_rows(tape, h.detach(), rows, h.rows());
  const ops::PosteriorTerm inner_term{latents.z.detach(), kappa, codes.detach()};
  const DraftLosses inner =
      draft_losses(tape, model,
                   {model.inner_field(tape, states, evolving.previous, evolving.starts),
                    model.maturity_weight(), &inner_term, evolving.targets, counted},
                   weights, scale);
  report.inner = inner.nll;
  report.maturity = inner.maturity;
  report.total += weights.flow * report.flow + weights.inner * report.inner +
                  weights.maturity * report.maturity;
  if (!drafts_ahead) return report;

  // The field ahead has to draft what the autoregressive stream will choose, whatever the text has.
  const DraftLosses ahead =
      draft_losses(tape, model,
                   {model.ahead_field(tape, ahead_input(batch, evolving, h, ahead_keys)),
                    model.ahead_maturity_weight(), nullptr, evolving.of(ar.argmax),
                    later_counted(batch, evolving)},
                   weights, scale);
  report.ahead = ahead.nll;
  report.total += weights.inner * ahead.nll + weights.maturity * ahead.maturity;
  return report;
}

model::ForwardInput two_stream_input(const TrainingBatch& batch, const Latents& latents) {
  const int64_t n = batch.length;
  const auto rows = static_cast<int32_t>(batch.targets.size());
  EVO_CHECK(batch.positions.size() == batch.targets.size());
  model::ForwardInput input;
  input.ids = batch.ids;
  input.positions = batch.positions;
  for (int32_t r = 0; r < rows; ++r) {
    const auto place = static_cast<int32_t>(r % n);
    input.ranges.push_back({r - place, r + 1, 0, 0});
  }
  if (latents.times.empty()) return input;
  input.z = latents.z;
  input.previous_x = latents.previous_x;
  input.times = latents.times;
  const EvolvingRows evolving = batch.evolving_rows();
  for (size_t e = 0; e < evolving.rows.size(); ++e) {
    input.positions.push_back(batch.positions[evolving.rows[e]] + 1);
    const ops::KeyRange& sees = evolving.sees[e];
    input.ranges.push_back(
        {sees.context_begin, sees.context_end, rows + sees.self_begin, rows + sees.self_end});
  }
  return input;
}

}  // namespace evo::train
