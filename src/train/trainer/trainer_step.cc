// One step of a run: this rank's share of a batch, what the others found, the update.
#include <algorithm>
#include <cmath>
#include <utility>

#include "flow/pca.h"
#include "ops/codes.h"
#include "ops/optimizer.h"
#include "train/examples/infill.h"
#include "train/examples/streams.h"
#include "train/trainer/schedule.h"
#include "train/trainer/trainer.h"

namespace evo::train {
namespace {

constexpr double kForward = 0.35;  // of a pass, about; the rest is backward

}  // namespace

std::optional<Trainer::StepResult> Trainer::step() {
  ranks_.set_activity(fmt::format("step {}", state_.step + 1));
  // Of the last step's weights, as far as they were waited for outside of a step.
  const ExchangeTimes earlier = exchange_ ? exchange_->take_times() : ExchangeTimes();
  const Clock::time_point start = Clock::now();
  const int64_t first_sequence = state_.next_sequence;
  std::vector<LossReport> passes;
  pace_.begin(fmt::format("step {}", state_.step + 1),
              config_.gradient_accumulation * std::ssize(own_micro_batches()), deadline());
  try {
    clear_gradients();
    passes = accumulate_gradients();
  } catch (const Abandoned&) {
    state_.next_sequence = first_sequence;
    agreed_time_ = elapsed();  // one rank
    return {};
  }
  pace_.end();
  StepResult result =
      combine(passes, std::chrono::duration<double>(Clock::now() - start).count(), earlier);
  result.learning_rate = learning_rate_at(progress(), config_);
  if (std::isfinite(result.loss.total) && std::isfinite(result.gradient_norm)) {
    update_weights(result.learning_rate, result.gradient_norm);
  }
  ++state_.step;
  const bool refresh = config_.flow && !config_.freeze_flow &&
                       state_.step % config_.time_every == 0 && progress() < config_.time_freeze;
  if (refresh) estimate_time();
  return result;
}

void Trainer::clear_gradients() {
  const model::ParameterStore& parameters = arrays_.model.parameters();
  for (const model::Parameter& p : parameters.list()) {
    if (!has_gradient(config_, p.name)) continue;
    tensor::set_zero(parameters.gradients().subspan(p.offset, p.numel()));
  }
}

std::vector<LossReport> Trainer::accumulate_gradients() {
  const comm::IndexRange own = comm::part_of(config_.batch_size, ranks_.rank(), ranks_.size());
  const int64_t parts = std::ssize(own_micro_batches());
  std::vector<LossReport> passes;
  for (int64_t pass = 0; pass < config_.gradient_accumulation; ++pass) {
    const bool completes = exchange_ != nullptr && pass + 1 == config_.gradient_accumulation;
    passes.push_back(
        accumulate_pass(next_batch().share(own.begin, own.size()), pass * parts, completes));
  }
  return passes;
}

LossReport Trainer::accumulate_pass(const TrainingBatch& own, int64_t first, bool completes) {
  const LossWeights weights = loss_weights();
  const double share = 1.0 / static_cast<double>(config_.gradient_accumulation);
  const std::vector<comm::IndexRange> parts = own_micro_batches();
  LossReport report;
  for (size_t i = 0; i < parts.size(); ++i) {
    pace_.begin_pass(first + static_cast<int64_t>(i));
    const bool last = completes && i + 1 == parts.size();
    if (last) exchange_->expect(arrays_.model.parameters().gradients());
    tensor::Tape tape(tensor::Tape::Mode::kTraining, options_.precision,
                      config_.recompute ? tensor::Tape::Keep::kInputs : tensor::Tape::Keep::kAll);
    report += training_loss(tape, arrays_.model, own.share(parts[i].begin, parts[i].size()),
                            weights, share);
    if (last) {
      exchange_->backward(tape);
    } else {
      // As many closures as in the last pass, about.
      const double before = std::exchange(closures_, 0);
      tape.backward([&] {
        ++closures_;
        const double run = before > 0 ? std::min(1.0, closures_ / before) : 0;
        pace_.at(kForward + (1 - kForward) * run);
      });
    }
  }
  return report;
}

std::vector<comm::IndexRange> Trainer::own_micro_batches() const {
  return micro_batches(comm::part_of(config_.batch_size, ranks_.rank(), ranks_.size()).size(),
                       config_.micro_batch);
}

double Trainer::forward_share(int64_t use) const {
  return kForward * static_cast<double>(use) / static_cast<double>(config_.num_hidden_layers + 1);
}

Trainer::StepResult Trainer::combine(const std::vector<LossReport>& passes, double seconds,
                                     const ExchangeTimes& earlier) {
  enum { kSquares, kBusy, kTransfer, kWaiting, kStop, kElapsed, kClosing, kStep, kLosses };
  const ExchangeTimes times = exchange_ ? exchange_->take_times() : ExchangeTimes();
  std::vector<double> own = {own_squares(),
                             seconds - times.waiting,
                             earlier.transfer + times.transfer,
                             earlier.waiting + times.waiting,
                             pace_.stopping() || options_.stop() ? 1.0 : 0.0,
                             elapsed(),
                             closing_seconds(),
                             seconds};
  for (const LossReport& pass : passes) {
    const LossNumbers numbers = to_numbers(pass);
    own.insert(own.end(), numbers.begin(), numbers.end());
  }
  const comm::RankTable table(ranks_, own);

  agreed_time_ = table.row(0)[kElapsed];
  agreed_closing_ = table.row(0)[kClosing];
  agreed_step_ = table.row(0)[kStep];
  StepResult result;
  result.stop = table.sum(kStop) > 0;
  result.gradient_norm = std::sqrt(table.sum(kSquares));
  LossMean mean;
  for (size_t pass = 0; pass < passes.size(); ++pass) {
    mean.add(sum_of_reports(table, kLosses + pass * LossNumbers().size()));
  }
  result.loss = mean.mean();
  for (int rank = 0; rank < table.ranks(); ++rank) {
    const auto losses = table.row(rank).subspan(kLosses);
    const bool finite = std::ranges::all_of(losses, [](double v) { return std::isfinite(v); });
    if (!finite) result.not_finite.push_back(rank);
  }
  rank_times_.add(table.column(kBusy), table.column(kTransfer), table.column(kWaiting));
  return result;
}

/// Of the gradients that this rank has the sums of.
double Trainer::own_squares() const {
  double squares = 0;
  for (const Bucket& bucket : arrays_.partition.buckets()) {
    if (bucket.trained) squares += ops::sum_of_squares(arrays_.own_gradients(bucket));
  }
  return squares;
}

LossWeights Trainer::loss_weights() const {
  const bool backbone = !config_.freeze_backbone && !config_.freeze_flow;
  return {config_.freeze_flow ? 0 : config_.flow_weight, config_.inner_weight,
          config_.maturity_weight, config_.code_gradient_kind(), backbone ? config_.ar_weight : 0};
}

TrainingBatch Trainer::next_batch() {
  // Everything random about a batch follows from the index of its first sequence.
  const int64_t first = state_.next_sequence;
  const auto index = static_cast<uint64_t>(first), seed = static_cast<uint64_t>(config_.seed);
  state_.next_sequence += config_.batch_size;
  TrainingBatch batch = TrainingBatch::from_loader(training_, first, config_.batch_size);
  if (config_.flow) {
    Random plan(seed, stream_id({kPlanStream, index}));
    batch.plan = sample_blocks(config_, {batch.sequences, batch.length, batch.learn},
                               arrays_.model.time().min_time(), plan);
    batch.seed = seed;
    batch.stream = stream_id({kNoiseStream, index});
    Random choice(seed, stream_id({kSelfConditionStream, index}));
    batch.self_condition = choice.uniform() < config_.self_conditioning;
  }
  const InfillOptions options{config_.infill_share, options_.end_of_text,
                              config_.max_position_embeddings, seed};
  infill(batch, options, first);
  return batch;
}

void Trainer::update_weights(double rate, double gradient_norm) {
  const double clip =
      config_.clip > 0 ? std::min(1.0, config_.clip / (gradient_norm + 1e-12)) : 1.0;
  ops::AdamwStep update;
  update.learning_rate = static_cast<float>(rate);
  update.beta1 = static_cast<float>(config_.beta1);
  update.beta2 = static_cast<float>(config_.beta2);
  update.step = state_.step + 1;
  update.gradient_scale = static_cast<float>(clip);
  // A short memory at first, so that the average does not remember the initial weights.
  const double warm = static_cast<double>(1 + state_.step) / static_cast<double>(10 + state_.step);
  const double decay = std::min(config_.average_decay, warm);
  const model::ParameterStore& store = arrays_.model.parameters();
  for (const Bucket& bucket : arrays_.partition.in_order_of_use()) {
    if (!bucket.trained) continue;
    Partition::for_each_owned(
        bucket, store.list(), [&](const model::Parameter& p, comm::IndexRange part) {
          if (!is_trained(config_, p)) return;
          const std::span<float> weights = comm::part_of(arrays_.own_weights(bucket), part);
          const auto own = [&](const tensor::Tensor& array) {
            return comm::part_of(arrays_.own_part(array, bucket), part);
          };
          update.weight_decay = p.decays() ? static_cast<float>(config_.weight_decay) : 0.0f;
          ops::adamw(weights, comm::part_of(arrays_.own_gradients(bucket), part),
                     own(arrays_.first_moment), own(arrays_.second_moment), update);
          ops::exponential_average(own(arrays_.average), weights, static_cast<float>(decay));
        });
    // On its way while the next one is updated, and while the next step's first layers run.
    if (exchange_) exchange_->share(bucket, store.values());
  }
}

void Trainer::estimate_time() {
  settle();
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  if (config_.code_gradient == "pca") {
    const tensor::Tensor table = arrays_.model.parameters().tensor("evo.codes");
    flow::principal_codes(arrays_.model.embedding().values(), config_.hidden_size,
                          config_.code_size, table.values());
  }
  flow::EntropicTimeOptions options;
  options.seed = stream_id({kTimeTableStream, static_cast<uint64_t>(config_.seed)});
  const tensor::Tensor codes = arrays_.model.codes(tape);
  arrays_.model.set_time(flow::estimate_entropic_time(codes.values(), config_.code_size,
                                                      arrays_.model.unigram(), options));
}

}  // namespace evo::train
