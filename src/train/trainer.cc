#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/progress.h"
#include "flow/pca.h"
#include "ops/codes.h"
#include "ops/optimizer.h"
#include "train/infill.h"
#include "train/schedule.h"
#include "train/streams.h"
#include "train/validation.h"

namespace evo {
namespace {

const RunConfig& validated(const RunConfig& config) {
  config.validate();
  return config;
}

LoaderOptions loader_options(const TokenFile& tokens, const RunConfig& config, int32_t end_of_text,
                             bool held_out) {
  const int64_t middle = held_out_begin(tokens, config);
  LoaderOptions options;
  options.begin = held_out ? middle : 0;
  options.end = held_out ? tokens.size() : middle;
  options.length = config.sequence_length;
  options.vocab_size = config.vocab_size;
  options.seed = static_cast<uint64_t>(config.seed);
  options.shuffle = !held_out;
  if (config.whole_documents) options.separator = end_of_text;
  return options;
}

}  // namespace

Trainer::Trainer(const RunConfig& config, const TokenFile& tokens, TrainOptions options)
    : config_(validated(config)),
      options_(std::move(options)),
      arrays_(config),
      training_(tokens, loader_options(tokens, config, options_.end_of_text, false)),
      validation_(tokens, loader_options(tokens, config, options_.end_of_text, true)),
      checkpoints_(std::filesystem::path(options_.out) / "checkpoints",
                   static_cast<int>(config.keep_checkpoints)) {
  std::vector<float> counts(static_cast<size_t>(config.vocab_size),
                            1.0f);  // no token is impossible
  for (int64_t i = 0; i < tokens.size(); ++i) counts[static_cast<size_t>(tokens.at(i))] += 1;
  const float total = static_cast<float>(tokens.size() + config.vocab_size);
  for (float& count : counts) count /= total;
  arrays_.model.set_unigram(counts);
  arrays_.average.set_unigram(counts);

  std::optional<Checkpoint> checkpoint;
  if (options_.resume) checkpoint = checkpoints_.load_latest_good();
  if (checkpoint) {
    restore(*checkpoint);
    log_info("resuming after step {}", state_.step);
  } else {
    arrays_.model.initialize(static_cast<uint64_t>(config.seed));
    if (options_.initialize) options_.initialize(arrays_.model);
    std::ranges::copy(arrays_.model.parameters().values(),
                      arrays_.average.parameters().values().begin());
    if (config_.flow) estimate_time();
  }
  metrics_.emplace(std::filesystem::path(options_.out) / "metrics.jsonl", state_.step);
}

TrainSummary Trainer::run() {
  peak_gflops_ = options_.peak_gflops > 0 ? options_.peak_gflops
                                          : measure_matmul_peak(options_.precision, 0.3);
  start_ = Clock::now();
  start_rate();
  const bool by_steps = config_.steps > 0;
  Progress progress("training",
                    by_steps ? static_cast<double>(config_.steps) : config_.minutes * 60,
                    by_steps ? "steps" : "s", options_.quiet,
                    by_steps ? static_cast<double>(state_.step) : state_.seconds);
  const int64_t first_step = state_.step;
  bool stopped = options_.stop();
  while (!finished() && !stopped) {
    const StepResult result = step();
    stopped = options_.stop();
    if (!healthy(result)) {
      recover(result);
      continue;
    }
    log(result, stopped, progress);
    if (state_.step % config_.checkpoint_every == 0) save_checkpoint();
    if (config_.sample_every > 0 && state_.step % config_.sample_every == 0 && options_.on_sample &&
        !finished()) {
      options_.on_sample(averaged(), state_.step);
    }
  }
  progress.finish();
  if (state_.step == first_step) {  // a finished run was resumed: there are no training losses
    summary_.last = LossMean().mean();
    summary_.validation = validate();
  }
  summary_.tokens = state_.step * tokens_per_step();
  summary_.interrupted = !finished();
  save_checkpoint();
  averaged().save(options_.out);
  summary_.step = state_.step;
  summary_.seconds = elapsed();
  summary_.peak_bytes = pool_stats().peak_bytes;
  return summary_;
}

Trainer::StepResult Trainer::step() {
  StepResult result;
  arrays_.model.parameters().zero_gradients();
  const LossWeights weights = loss_weights();
  const double share = 1.0 / static_cast<double>(config_.gradient_accumulation);
  LossMean passes;
  for (int64_t pass = 0; pass < config_.gradient_accumulation; ++pass) {
    Tape tape(Tape::Mode::kTraining, options_.precision);
    passes.add(training_loss(tape, arrays_.model, next_batch(), weights, share));
    tape.backward();
  }
  result.loss = passes.mean();
  result.gradient_norm = std::sqrt(sum_of_squares(arrays_.model.parameters().gradients()));
  result.learning_rate = learning_rate_at(progress(), config_);
  if (std::isfinite(result.loss.total) && std::isfinite(result.gradient_norm)) {
    update_weights(result.learning_rate, result.gradient_norm);
  }
  ++state_.step;
  const bool refresh =
      config_.flow && state_.step % config_.time_every == 0 && progress() < config_.time_freeze;
  if (refresh) estimate_time();
  return result;
}

LossWeights Trainer::loss_weights() const {
  return {config_.flow_weight, config_.inner_weight, config_.maturity_weight,
          config_.code_gradient_kind(), config_.freeze_backbone ? 0 : config_.ar_weight};
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
  AdamwStep update;
  update.learning_rate = static_cast<float>(rate);
  update.beta1 = static_cast<float>(config_.beta1);
  update.beta2 = static_cast<float>(config_.beta2);
  update.step = state_.step + 1;
  update.gradient_scale = static_cast<float>(clip);
  // A short memory at first, so that the average does not remember the initial weights.
  const double warm = static_cast<double>(1 + state_.step) / static_cast<double>(10 + state_.step);
  const double decay = std::min(config_.average_decay, warm);
  const ParameterStore& store = arrays_.model.parameters();
  for (const Parameter& p : store.list()) {
    if (!trains(p)) continue;
    const auto offset = static_cast<size_t>(p.offset), count = static_cast<size_t>(p.numel());
    update.weight_decay = p.decays() ? static_cast<float>(config_.weight_decay) : 0.0f;
    adamw(store.values_of(p), store.gradients().subspan(offset, count),
          arrays_.first_moment.values().subspan(offset, count),
          arrays_.second_moment.values().subspan(offset, count), update);
    exponential_average(arrays_.average.parameters().values_of(p), store.values_of(p),
                        static_cast<float>(decay));
  }
}

/// Not a frozen backbone. Nor codes that are made from the embedding, which have no gradient, and
/// are not decayed either.
bool Trainer::trains(const Parameter& parameter) const {
  if (config_.code_gradient == "pca" && parameter.name == "evo.codes") return false;
  return !config_.freeze_backbone || is_flow_parameter(parameter.name);
}

void Trainer::estimate_time() {
  Tape tape(Tape::Mode::kInference);
  if (config_.code_gradient == "pca") {
    const Tensor table = arrays_.model.parameters().tensor("evo.codes");
    principal_codes(arrays_.model.embedding().values(), config_.hidden_size, config_.code_size,
                    table.values());
    std::ranges::copy(table.values(), arrays_.average.parameters().tensor("evo.codes").f32());
  }
  EntropicTimeOptions options;
  options.seed = stream_id({kTimeTableStream, static_cast<uint64_t>(config_.seed)});
  const Tensor codes = arrays_.model.codes(tape);
  arrays_.model.set_time(
      estimate_entropic_time(codes.values(), config_.code_size, arrays_.model.unigram(), options));
  arrays_.average.set_time(arrays_.model.time());
}

double Trainer::elapsed() const {
  return state_.seconds + std::chrono::duration<double>(Clock::now() - start_).count();
}

double Trainer::progress() const {
  double done = 0;
  if (config_.steps > 0)
    done = static_cast<double>(state_.step) / static_cast<double>(config_.steps);
  if (config_.minutes > 0) done = std::max(done, elapsed() / (config_.minutes * 60));
  return std::min(done, 1.0);
}

bool Trainer::finished() const {
  return progress() >= 1;
}

bool Trainer::healthy(const StepResult& result) {
  if (!std::isfinite(result.loss.total) || !std::isfinite(result.gradient_norm)) return false;
  return state_.watch.steady(result.loss.ar_nll, state_.step);
}

void Trainer::recover(const StepResult& result) {
  const std::string what =
      fmt::format("step {}: loss {} and gradient norm {} (running mean of the AR loss {:.3f})",
                  state_.step, result.loss.total, result.gradient_norm, state_.watch.mean);
  const std::optional<Checkpoint> checkpoint = checkpoints_.load_latest_good();
  if (state_.recoveries > 0 || !checkpoint) {
    const std::string when =
        checkpoint ? fmt::format(
                         "a second time, after going back once; the checkpoint of step {} "
                         "is intact",
                         checkpoint->step)
                   : "before the first checkpoint";
    fail(
        "training diverged {}: {}. Try a lower `learning_rate`, a longer `warmup` or a smaller "
        "`clip`.",
        when, what);
  }
  log_warning("training diverged at {}; going back to step {} once, past the data that did it",
              what, checkpoint->step);
  const int64_t beyond = state_.next_sequence;
  restore(*checkpoint);
  state_.next_sequence = beyond;
  state_.recoveries = 1;
  start_rate();
  metrics_.emplace(std::filesystem::path(options_.out) / "metrics.jsonl", state_.step);
}

LossReport Trainer::validate() const {
  return validation_loss(averaged(), validation_, config_, options_.precision);
}

int64_t Trainer::tokens_per_step() const {
  return config_.batch_size * config_.sequence_length * config_.gradient_accumulation;
}

const Model& Trainer::averaged() const {
  return config_.average_decay > 0 ? arrays_.average : arrays_.model;
}

void Trainer::save_checkpoint() {
  RunState state = state_;
  state.seconds = elapsed();
  save_run(checkpoints_, arrays_, state);
}

void Trainer::restore(const Checkpoint& checkpoint) {
  state_ = restore_run(checkpoint, arrays_);
  start_ = Clock::now();
}

}  // namespace evo
