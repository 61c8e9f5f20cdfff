#include "train/loss.h"

#include <algorithm>

#include "base/parallel.h"
#include "flow/bridge.h"
#include "flow/elbo.h"
#include "ops/codes.h"
#include "ops/embedding.h"
#include "ops/maturity.h"

namespace evo {
namespace {

// Purposes of random streams within a batch.
enum NoiseUse : uint64_t { kFirstNoise = 1, kBridgeNoise, kPolicy };

/// The rows over which a loss is a mean: those with a target that counts, all or only those that
/// are not the first of their block.
enum class Rows { kAll, kNotFirst };

bool counts(const TrainingBatch& batch, Rows rows, size_t r) {
  return batch.learns(r) && (rows == Rows::kAll || batch.plan.starts[r] == 0);
}

double number(const TrainingBatch& batch, Rows rows) {
  const RowCounts all = batch.row_counts();
  return static_cast<double>(rows == Rows::kAll ? all.learnt : all.not_first);
}

/// `total` in equal shares over the rows that count.
std::vector<float> shares(const TrainingBatch& batch, double total, Rows rows = Rows::kAll) {
  const double all = number(batch, rows);
  std::vector<float> weights(batch.targets.size(), 0.0f);
  for (size_t r = 0; r < weights.size(); ++r) {
    if (counts(batch, rows, r)) weights[r] = static_cast<float>(total / all);
  }
  return weights;
}

double mean(const TrainingBatch& batch, std::span<const float> values, Rows rows = Rows::kAll) {
  double sum = 0;
  for (size_t r = 0; r < values.size(); ++r) {
    if (counts(batch, rows, r)) sum += values[r];
  }
  const double all = number(batch, rows);
  return all > 0 ? sum / all : 0;
}

/// Standard normal [rows, d]; every row has its own stream, so threads do not matter.
Tensor noise_rows(const TrainingBatch& batch, NoiseUse use, int64_t width) {
  const auto rows = static_cast<int64_t>(batch.targets.size());
  Tensor noise = Tensor::empty({rows, width});
  parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const auto row = static_cast<uint64_t>(batch.first_row + r);
      Random random(batch.seed, stream_id({batch.stream, use, row}));
      random.fill_normal({noise.row(r), static_cast<size_t>(width)});
    }
  });
  return noise;
}

/// The draws of the self-conditioning policy, one after the other over the rows of a whole batch:
/// one per sequence, one per row.
class PolicyDraws {
 public:
  explicit PolicyDraws(const TrainingBatch& batch)
      : random_(batch.seed, stream_id({batch.stream, kPolicy})), length_(batch.length) {
    while (row_ < batch.first_row) (void)next();  // another share's
  }
  struct Row {
    bool trust_truth;  // of the row's sequence
    double pace;       // uniform in [0, 1)
  };
  Row next() {
    if (row_++ % length_ == 0) trust_truth_ = random_.uniform() < 0.5;
    return {trust_truth_, random_.uniform()};
  }

 private:
  Random random_;
  int64_t length_, row_ = 0;
  bool trust_truth_ = true;
};

std::vector<float> kappas(const EntropicTime& time, std::span<const float> times) {
  std::vector<float> kappa(times.size());
  time.kappa(times, kappa);
  return kappa;
}

/// Latents of the true codes at the planned times.
Latents first_latents(Tape& tape, const Model& model, const TrainingBatch& batch,
                      const Tensor& codes) {
  const std::vector<float>& times = batch.plan.times;
  std::vector<float> signal(times.size());
  model.time().signal(times, signal);
  const int64_t width = model.config().code_size;
  return {
      gaussian_bridge(tape, codes, batch.targets, signal, noise_rows(batch, kFirstNoise, width)),
      Tensor::zeros({static_cast<int64_t>(times.size()), width}), times};
}

/// The self-conditioned start: a pass without gradient gives each row's posterior; the policy moves
/// the row to t' <= t, in proportion to how sure it is; z is bridged to t' towards the true code on
/// half of the sequences and towards the model's own hypothesis on the others, where the target
/// stays the truth: that teaches revision, and how far a hint can be trusted.
Latents self_conditioned_latents(const Model& model, const TrainingBatch& batch,
                                 const Tensor& codes, const Latents& first) {
  Tape tape(Tape::Mode::kInference);
  const ForwardInput input = two_stream_input(batch, first);
  const Tensor h = model.forward(tape, input);
  const std::vector<float> kappa = kappas(model.time(), first.times);
  const PosteriorTerm term{first.z, kappa, codes.detach()};
  const HeadResult posterior =
      head(tape, h, input.mature(), input.evolving(), model.unembedding(), &term, nullptr);

  const int64_t width = model.config().code_size;
  const Tensor noise = noise_rows(batch, kBridgeNoise, width);
  Latents next{Tensor::empty(first.z.shape()), posterior.mean_code, first.times};
  PolicyDraws draws(batch);
  for (int64_t r = 0; r < first.z.rows(); ++r) {
    const auto i = static_cast<size_t>(r);
    const auto [trust_truth, pace] = draws.next();
    const double confidence = std::exp(static_cast<double>(posterior.log_pmax[i]));
    const double t = first.times[i];
    const double to = std::max(std::min(t, model.time().min_time()), t * (1 - pace * confidence));
    const BridgeCoefficients step = bridge(model.time().signal(t), model.time().signal(to));
    const auto size = static_cast<size_t>(width);
    const int32_t hypothesis = trust_truth ? batch.targets[i] : posterior.argmax[i];
    blend(step, {first.z.row(r), size}, {codes.row(hypothesis), size}, {noise.row(r), size},
          {next.z.row(r), size});
    next.times[i] = static_cast<float>(to);
  }
  return next;
}

/// Weights of |c - x|^2 whose sum is the ELBO's integral, as a mean over rows of uniform time.
std::vector<float> elbo_weights(const EntropicTime& time, const TrainingBatch& batch,
                                std::span<const float> times, double scale) {
  const auto rows = static_cast<double>(batch.row_counts().elbo);
  std::vector<float> weights(times.size(), 0.0f);
  for (size_t i = 0; i < times.size(); ++i) {
    if (!batch.has_uniform_time(i)) continue;
    const double rate = elbo_rate(1, time.snr_slope(times[i])) * elbo_weight(time.min_time());
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
  Tensor o;
  Tensor maturity_weight;
  const PosteriorTerm* term;
  Rows rows;
  std::span<const int32_t> targets;
};

struct DraftLosses {
  double nll = 0, maturity = 0;  ///< means
};

/// Cross-entropy of the drafts, and of the guess whether the drafted token is the right one.
DraftLosses draft_losses(Tape& tape, const Model& model, const TrainingBatch& batch,
                         const Drafts& drafts, const LossWeights& weights, double scale) {
  const std::vector<float> nll_weights = shares(batch, weights.inner * scale, drafts.rows);
  const HeadLosses losses{drafts.targets, nll_weights};
  const auto rows = static_cast<int64_t>(batch.targets.size());
  const HeadResult drafted =
      head(tape, drafts.o, 0, rows, model.detached_unembedding(), drafts.term, &losses);
  std::vector<float> kept(batch.targets.size());
  for (size_t i = 0; i < kept.size(); ++i) {
    kept[i] = drafted.argmax[i] == drafts.targets[i] ? 1.0f : 0.0f;
  }
  const std::vector<float> maturity_weights = shares(batch, weights.maturity * scale, drafts.rows);
  const MaturityResult mature = maturity(tape, drafts.o.detach(), drafted.log_pmax, drafted.entropy,
                                         drafts.maturity_weight, kept, maturity_weights);
  return {mean(batch, drafted.nll, drafts.rows),
          weights.maturity > 0 ? mature.loss / (weights.maturity * scale) : 0};
}

/// What the field that drafts ahead sees of a batch; first rows of blocks stand alone.
AheadInput ahead_input(const TrainingBatch& batch, const Tensor& h, const Tensor& keys) {
  const auto rows = static_cast<int32_t>(batch.targets.size());
  AheadInput ahead{
      Tensor::empty({rows, h.cols()}), keys, batch.ids, batch.positions, {}, batch.plan.starts};
  for (int32_t r = 0; r < rows; ++r) {
    const auto i = static_cast<size_t>(r);
    const auto first = static_cast<int32_t>(r - r % batch.length);
    const int32_t before = first + batch.plan.begin[i];
    std::copy_n(h.row(before), h.cols(), ahead.h.row(r));
    ahead.context.push_back({first, before + 1, 0, 0});
    if (r == before + 1) ahead.starts[i] = 1;
  }
  return ahead;
}

}  // namespace

LossReport training_loss(Tape& tape, const Model& model, const TrainingBatch& batch,
                         const LossWeights& weights, double scale) {
  LossReport report;
  const auto rows = static_cast<int64_t>(batch.targets.size());
  const bool flow = !batch.plan.times.empty();
  using CodeGradient = HeadLosses::CodeGradient;

  // Latents of both streams, then one pass.
  Tensor codes;
  Latents latents;
  if (flow) {
    codes = model.codes(tape);
    // Only the cross-entropy mode lets gradients through the latents into the codes.
    const bool through_z =
        weights.code_gradient == CodeGradient::kCrossEntropy && !batch.self_condition;
    latents = first_latents(tape, model, batch, through_z ? codes : codes.detach());
    if (batch.self_condition) latents = self_conditioned_latents(model, batch, codes, latents);
  }
  Tape unrecorded(Tape::Mode::kInference, tape.precision());
  const bool trains_trunk = weights.ar > 0 || weights.flow > 0;
  const bool drafts_ahead = flow && model.config().ahead_size > 0;
  Tensor ahead_keys;
  const Tensor h = model.forward(trains_trunk ? tape : unrecorded, two_stream_input(batch, latents),
                                 {}, drafts_ahead ? &ahead_keys : nullptr);

  // The staircase leg: exact autoregressive cross-entropy.
  const bool trains_ar = weights.ar > 0;
  const std::vector<float> ar_weights = shares(batch, trains_ar ? weights.ar * scale : scale);
  const HeadLosses ar_losses{batch.targets, ar_weights};
  const HeadResult ar =
      trains_ar ? head(tape, h, 0, rows, model.unembedding(), nullptr, &ar_losses)
                : head(unrecorded, h, 0, rows, model.unembedding(), nullptr, &ar_losses);
  report.ar_nll = mean(batch, ar.nll);
  report.total = weights.ar * report.ar_nll;
  if (!flow) return report;

  // The flow: every evolving row's posterior against its own token.
  const std::vector<float> kappa = kappas(model.time(), latents.times);
  const std::vector<float> flow_weights = shares(batch, weights.flow * scale);
  // After self-conditioning times are no longer uniform, so those passes do not estimate the ELBO.
  const bool estimates_elbo = !batch.self_condition && weights.flow > 0;
  const std::vector<float> squared =
      elbo_weights(model.time(), batch, latents.times, estimates_elbo ? weights.flow * scale : 0);
  const PosteriorTerm term{latents.z, kappa, codes};
  const HeadLosses flow_losses{batch.targets, flow_weights, weights.code_gradient, squared};
  const HeadResult posterior = head(tape, h, rows, rows, model.unembedding(), &term, &flow_losses);
  report.flow = mean(batch, posterior.nll);
  if (estimates_elbo) {
    report.elbo_rows = batch.own_row_counts().elbo;
    report.elbo = dot(elbo_weights(model.time(), batch, latents.times, 1), posterior.squared_error);
  }

  // The fields draft each block left to right from the truth before each row; everything that they
  // read is detached, so the backbone does not notice them.
  const Tensor states = slice_rows(tape, h.detach(), rows, 2 * rows);
  const PosteriorTerm inner_term{latents.z.detach(), kappa, codes.detach()};
  const DraftLosses inner =
      draft_losses(tape, model, batch,
                   {model.inner_field(tape, states, batch.ids, batch.plan.starts),
                    model.maturity_weight(), &inner_term, Rows::kAll, batch.targets},
                   weights, scale);
  report.inner = inner.nll;
  report.maturity = inner.maturity;
  report.total += weights.flow * report.flow + weights.inner * report.inner +
                  weights.maturity * report.maturity;
  if (!drafts_ahead) return report;

  // The field ahead has to draft what the autoregressive stream will choose, whatever the text has.
  const DraftLosses ahead =
      draft_losses(tape, model, batch,
                   {model.ahead_field(tape, ahead_input(batch, h, ahead_keys)),
                    model.ahead_maturity_weight(), nullptr, Rows::kNotFirst, ar.argmax},
                   weights, scale);
  report.ahead = ahead.nll;
  report.total += weights.inner * ahead.nll + weights.maturity * ahead.maturity;
  return report;
}

ForwardInput two_stream_input(const TrainingBatch& batch, const Latents& latents) {
  const int64_t n = batch.length;
  const auto rows = static_cast<int32_t>(batch.targets.size());
  EVO_CHECK(batch.positions.size() == batch.targets.size());
  ForwardInput input;
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
  for (int32_t r = 0; r < rows; ++r) {
    const auto i = static_cast<size_t>(r);
    const auto place = static_cast<int32_t>(r % n);
    const int32_t first = r - place;  // row of the sequence's first token, in either stream
    input.positions.push_back(batch.positions[i] + 1);
    // Row j of the evolving stream is the token after that of mature row j, so a block that starts
    // at row s has the mature rows 0 .. s before it.
    input.ranges.push_back({first, first + batch.plan.begin[i] + 1,
                            rows + first + batch.plan.begin[i], rows + first + batch.plan.end[i]});
  }
  return input;
}

}  // namespace evo
