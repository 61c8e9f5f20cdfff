#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/log.h"
#include "base/progress.h"
#include "flow/pca.h"
#include "ops/codes.h"
#include "ops/optimizer.h"

namespace evo {
namespace {

// Purposes of random streams in a run; the initial weights have their own.
enum RunStream : uint64_t { kPlan = 101, kNoise, kSelfCondition, kValidation, kTimeTable };

// A loss this far above its running mean, in deviations and at least in nats, on this many steps in
// a row is a spike. Before the first steps the mean says nothing.
constexpr double kSpikeDeviations = 8, kSpikeNats = 1.0;
constexpr int64_t kSpikeSteps = 3, kSpikeWarmup = 50;

// Sequences of the held-out part are scored along block:8 for the ELBO shown while training.
constexpr int64_t kValidationBlock = 8;

/// Where the held-out part begins: both parts hold at least one sequence.
int64_t split_point(const TokenFile& tokens, const RunConfig& config) {
  const int64_t window = config.sequence_length + 1;
  if (tokens.size() < 2 * window) {
    fail(
        "{}: the text has {} tokens, but `sequence_length` {} needs at least {}: {} to train on "
        "and as many held out. Use a longer text or a shorter `sequence_length`.",
        tokens.path().string(), tokens.size(), config.sequence_length, 2 * window, window);
  }
  const auto held_out =
      static_cast<int64_t>(config.validation_fraction * static_cast<double>(tokens.size()));
  return tokens.size() - std::max(held_out, window);
}

const RunConfig& validated(const RunConfig& config) {
  config.validate();
  return config;
}

}  // namespace

Trainer::Trainer(const RunConfig& config, const TokenFile& tokens, TrainOptions options)
    : config_(validated(config)),
      options_(std::move(options)),
      model_(config, true),
      average_(config, false),
      first_moment_(Tensor::zeros({static_cast<int64_t>(model_.parameters().values().size())})),
      second_moment_(Tensor::zeros({static_cast<int64_t>(model_.parameters().values().size())})),
      training_(tokens, 0, split_point(tokens, config), config.sequence_length, config.vocab_size,
                static_cast<uint64_t>(config.seed)),
      validation_(tokens, split_point(tokens, config), tokens.size(), config.sequence_length,
                  config.vocab_size, static_cast<uint64_t>(config.seed), false),
      checkpoints_(std::filesystem::path(options_.out) / "checkpoints",
                   static_cast<int>(config.keep_checkpoints)) {
  std::vector<float> counts(static_cast<size_t>(config.vocab_size),
                            1.0f);  // no token is impossible
  for (int64_t i = 0; i < tokens.size(); ++i) counts[static_cast<size_t>(tokens.at(i))] += 1;
  const float total = static_cast<float>(tokens.size() + config.vocab_size);
  for (float& count : counts) count /= total;
  model_.set_unigram(counts);
  average_.set_unigram(counts);

  std::optional<Checkpoint> checkpoint;
  if (options_.resume) checkpoint = checkpoints_.load_latest_good();
  if (checkpoint) {
    restore(*checkpoint);
    log_info("resuming after step {}", step_);
  } else {
    model_.initialize(static_cast<uint64_t>(config.seed));
    std::ranges::copy(model_.parameters().values(), average_.parameters().values().begin());
    if (config_.flow) estimate_time();
  }
  metrics_.emplace(std::filesystem::path(options_.out) / "metrics.jsonl", step_);
}

TrainSummary Trainer::run() {
  peak_gflops_ = options_.peak_gflops > 0 ? options_.peak_gflops
                                          : measure_matmul_peak(options_.precision, 0.3);
  start_ = Clock::now();
  start_rate();
  const double total =
      config_.steps > 0 ? static_cast<double>(config_.steps) : config_.minutes * 60;
  Progress progress("training", total, config_.steps > 0 ? "steps" : "s", options_.quiet);
  const int64_t first_step = step_;
  bool stopped = options_.stop();
  while (!finished() && !stopped) {
    const StepResult result = step();
    stopped = options_.stop();
    if (!healthy(result)) {
      recover(result);
      continue;
    }
    log(result, stopped, progress);
    if (step_ % config_.checkpoint_every == 0) save_checkpoint();
    if (config_.sample_every > 0 && step_ % config_.sample_every == 0 && options_.on_sample &&
        !finished()) {
      options_.on_sample(averaged(), step_);
    }
  }
  progress.finish();
  if (step_ == first_step) {  // a finished run was resumed: there are no training losses
    summary_.last = LossMean().mean();
    summary_.validation = validate();
  }
  summary_.tokens = step_ * tokens_per_step();
  summary_.interrupted = !finished();
  save_checkpoint();
  save_model();
  summary_.step = step_;
  summary_.seconds = elapsed();
  summary_.peak_bytes = pool_stats().peak_bytes;
  return summary_;
}

Trainer::StepResult Trainer::step() {
  StepResult result;
  model_.parameters().zero_gradients();
  const LossWeights weights = loss_weights();
  const double share = 1.0 / static_cast<double>(config_.gradient_accumulation);
  LossMean passes;
  for (int64_t pass = 0; pass < config_.gradient_accumulation; ++pass) {
    Tape tape(Tape::Mode::kTraining, options_.precision);
    passes.add(training_loss(tape, model_, next_batch(), weights, share));
    tape.backward();
  }
  result.loss = passes.mean();
  result.gradient_norm = std::sqrt(sum_of_squares(model_.parameters().gradients()));
  result.learning_rate = learning_rate();
  if (std::isfinite(result.loss.total) && std::isfinite(result.gradient_norm)) {
    update_weights(result.learning_rate, result.gradient_norm);
  }
  ++step_;
  const bool refresh =
      config_.flow && step_ % config_.time_every == 0 && progress() < config_.time_freeze;
  if (refresh) estimate_time();
  return result;
}

LossWeights Trainer::loss_weights() const {
  return {config_.flow_weight, config_.inner_weight, config_.maturity_weight,
          config_.code_gradient_kind()};
}

TrainingBatch Trainer::next_batch() {
  const auto window = static_cast<size_t>(config_.sequence_length + 1);
  std::vector<int32_t> texts(static_cast<size_t>(config_.batch_size) * window);
  for (int64_t s = 0; s < config_.batch_size; ++s) {
    training_.fill(next_sequence_ + s,
                   std::span(texts).subspan(static_cast<size_t>(s) * window, window));
  }
  // Everything random about a batch follows from the index of its first sequence.
  const auto index = static_cast<uint64_t>(next_sequence_);
  const auto seed = static_cast<uint64_t>(config_.seed);
  next_sequence_ += config_.batch_size;
  TrainingBatch batch = TrainingBatch::from_texts(texts, config_.batch_size);
  if (!config_.flow) return batch;
  Random plan(seed, stream_id({kPlan, index}));
  batch.plan =
      sample_blocks(config_, batch.sequences, batch.length, model_.time().min_time(), plan);
  batch.seed = seed;
  batch.stream = stream_id({kNoise, index});
  Random choice(seed, stream_id({kSelfCondition, index}));
  batch.self_condition = choice.uniform() < config_.self_conditioning;
  return batch;
}

void Trainer::update_weights(double rate, double gradient_norm) {
  const double clip =
      config_.clip > 0 ? std::min(1.0, config_.clip / (gradient_norm + 1e-12)) : 1.0;
  AdamwStep update;
  update.learning_rate = static_cast<float>(rate);
  update.beta1 = static_cast<float>(config_.beta1);
  update.beta2 = static_cast<float>(config_.beta2);
  update.step = step_ + 1;
  update.gradient_scale = static_cast<float>(clip);
  const ParameterStore& store = model_.parameters();
  for (const Parameter& p : store.list()) {
    const auto offset = static_cast<size_t>(p.offset), count = static_cast<size_t>(p.numel());
    update.weight_decay = p.decays() ? static_cast<float>(config_.weight_decay) : 0.0f;
    adamw(store.values_of(p), store.gradients().subspan(offset, count),
          first_moment_.values().subspan(offset, count),
          second_moment_.values().subspan(offset, count), update);
  }
  // A short memory at first, so that the average does not remember the initial weights.
  const double warm = static_cast<double>(1 + step_) / static_cast<double>(10 + step_);
  const double decay = std::min(config_.average_decay, warm);
  exponential_average(average_.parameters().values(), store.values(), static_cast<float>(decay));
}

void Trainer::estimate_time() {
  Tape tape(Tape::Mode::kInference);
  if (config_.code_gradient == "pca") {
    const Tensor table = model_.parameters().tensor("evo.codes");
    principal_codes(model_.embedding().values(), config_.hidden_size, config_.code_size,
                    table.values());
    std::ranges::copy(table.values(), average_.parameters().tensor("evo.codes").f32());
  }
  EntropicTimeOptions options;
  options.seed = stream_id({kTimeTable, static_cast<uint64_t>(config_.seed)});
  const Tensor codes = model_.codes(tape);
  model_.set_time(
      estimate_entropic_time(codes.values(), config_.code_size, model_.unigram(), options));
  average_.set_time(model_.time());
}

double Trainer::elapsed() const {
  return earlier_seconds_ + std::chrono::duration<double>(Clock::now() - start_).count();
}

double Trainer::progress() const {
  double done = 0;
  if (config_.steps > 0) done = static_cast<double>(step_) / static_cast<double>(config_.steps);
  if (config_.minutes > 0) done = std::max(done, elapsed() / (config_.minutes * 60));
  return std::min(done, 1.0);
}

bool Trainer::finished() const {
  return progress() >= 1;
}

double Trainer::learning_rate() const {
  const double done = progress();
  if (done < config_.warmup) {
    // The first step must move too: half a step of warm-up at least.
    const double floor = config_.steps > 0 ? 0.5 / static_cast<double>(config_.steps) : 0.0;
    return config_.learning_rate * std::min(1.0, std::max(done, floor) / config_.warmup);
  }
  const double along = (done - config_.warmup) / std::max(1e-9, 1 - config_.warmup);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * along));
  return config_.learning_rate *
         (config_.final_learning_rate + (1 - config_.final_learning_rate) * cosine);
}

bool Trainer::healthy(const StepResult& result) {
  if (!std::isfinite(result.loss.total) || !std::isfinite(result.gradient_norm)) return false;
  const double excess = result.loss.ar_nll - loss_mean_;
  const double limit = std::max(kSpikeNats, kSpikeDeviations * loss_deviation_);
  if (step_ > kSpikeWarmup && excess > limit) return ++spikes_ < kSpikeSteps;
  spikes_ = 0;
  const double rate = step_ <= 1 ? 1.0 : 0.05;
  loss_deviation_ += rate * (std::abs(step_ <= 1 ? 0.1 : excess) - loss_deviation_);
  loss_mean_ += rate * excess;
  return true;
}

void Trainer::recover(const StepResult& result) {
  const std::string what =
      fmt::format("step {}: loss {} and gradient norm {} (running mean of the AR loss {:.3f})",
                  step_, result.loss.total, result.gradient_norm, loss_mean_);
  const std::optional<Checkpoint> checkpoint = checkpoints_.load_latest_good();
  if (recoveries_ > 0 || !checkpoint) {
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
  const int64_t beyond = next_sequence_;
  restore(*checkpoint);
  next_sequence_ = beyond;
  recoveries_ = 1;
  start_rate();
  metrics_.emplace(std::filesystem::path(options_.out) / "metrics.jsonl", step_);
}

LossReport Trainer::validate() const {
  const auto window = static_cast<size_t>(config_.sequence_length + 1);
  const int64_t count = std::min(config_.validation_sequences, validation_.sequences_per_epoch());
  const LossWeights every_part{1, 1, 1};  // also those that do not train
  LossMean mean;
  for (int64_t first = 0; first < count; first += config_.batch_size) {
    const int64_t sequences = std::min(config_.batch_size, count - first);
    std::vector<int32_t> texts(static_cast<size_t>(sequences) * window);
    for (int64_t s = 0; s < sequences; ++s) {
      validation_.fill(first + s,
                       std::span(texts).subspan(static_cast<size_t>(s) * window, window));
    }
    TrainingBatch batch = TrainingBatch::from_texts(texts, sequences);
    if (config_.flow) {
      Random random(7, stream_id({kValidation, static_cast<uint64_t>(first)}));
      batch.plan = elbo_blocks(sequences, batch.length, kValidationBlock,
                               average_.time().min_time(), random);
      batch.stream = stream_id({kValidation, static_cast<uint64_t>(first)});
    }
    Tape tape(Tape::Mode::kInference, options_.precision);
    mean.add(training_loss(tape, averaged(), batch, every_part), static_cast<double>(sequences));
  }
  return mean.mean();
}

void Trainer::log(const StepResult& result, bool stopped, Progress& progress) {
  since_line_.add(result.loss);
  // An interruption adds a line of its own and leaves the losses for the resumed run's next one,
  // which so is the same as without the interruption.
  const bool validation_planned = step_ % config_.validate_every == 0 || finished();
  const bool planned = validation_planned || step_ % config_.log_every == 0;
  const bool validation_due = validation_planned || stopped;
  if (!planned && !validation_due) return;

  summary_.last = since_line_.mean();
  measure_rate();
  Record line = metrics_line(result);
  if (validation_due) {
    summary_.validation = validate();
    line.set("valid_ar_nll", summary_.validation.ar_nll);
    if (config_.flow) {
      line.set("valid_flow_loss", summary_.validation.flow)
          .set("valid_inner_loss", summary_.validation.inner);
      line.set("valid_elbo", summary_.validation.elbo);
    }
  }
  metrics_->add(line);
  if (validation_due) metrics_->draw(std::filesystem::path(options_.out) / "loss.svg");

  const std::string elbo = config_.flow ? fmt::format("  ELBO {:.3f}", summary_.last.elbo) : "";
  progress.update(config_.steps > 0 ? static_cast<double>(step_) : elapsed(),
                  fmt::format("loss {:.3f}  AR {:.3f}{}  {:.0f} tokens/s  {:.0f}% of peak",
                              summary_.last.total, summary_.last.ar_nll, elbo,
                              summary_.tokens_per_second, 100 * summary_.gemm_peak_fraction));
  if (planned) since_line_ = {};
  start_rate();
}

void Trainer::start_rate() {
  rate_start_ = Clock::now();
  rate_start_step_ = step_;
}

int64_t Trainer::tokens_per_step() const {
  return config_.batch_size * config_.sequence_length * config_.gradient_accumulation;
}

void Trainer::measure_rate() {
  const double seconds = std::chrono::duration<double>(Clock::now() - rate_start_).count();
  const ModelCost cost = model_cost(config_, config_.sequence_length);
  const double first_passes =
      config_.flow ? config_.self_conditioning * cost.first_pass_flops_per_token : 0;
  summary_.tokens_per_second =
      static_cast<double>((step_ - rate_start_step_) * tokens_per_step()) / seconds;
  summary_.gemm_peak_fraction = summary_.tokens_per_second *
                                (cost.training_flops_per_token + first_passes) * 1e-9 /
                                peak_gflops_;
}

Record Trainer::metrics_line(const StepResult& result) const {
  Record line;
  line.set("step", step_).set("tokens", step_ * tokens_per_step()).set("loss", summary_.last.total);
  line.set("ar_nll", summary_.last.ar_nll);
  if (config_.flow) {
    line.set("flow_loss", summary_.last.flow).set("inner_loss", summary_.last.inner);
    line.set("maturity_loss", summary_.last.maturity).set("elbo", summary_.last.elbo);
  }
  line.set("learning_rate", result.learning_rate).set("gradient_norm", result.gradient_norm);
  line.set("tokens_per_second", summary_.tokens_per_second);
  line.set("gemm_peak_fraction", summary_.gemm_peak_fraction).set("seconds", elapsed());
  return line;
}

const Model& Trainer::averaged() const {
  return config_.average_decay > 0 ? average_ : model_;
}

void Trainer::save_model() {
  averaged().save(options_.out);
}

void Trainer::save_checkpoint() {
  const int64_t size = first_moment_.numel();
  const std::vector<float> log_snr(model_.time().log_snr().begin(), model_.time().log_snr().end());
  const std::vector<float> time(model_.time().time_values().begin(),
                                model_.time().time_values().end());
  const std::vector<ArrayToWrite> arrays = {
      {"weights", {size}, model_.parameters().values()},
      {"average", {size}, average_.parameters().values()},
      {"first_moment", {size}, first_moment_.values()},
      {"second_moment", {size}, second_moment_.values()},
      {"time.log_snr", {static_cast<int64_t>(log_snr.size())}, log_snr},
      {"time.value", {static_cast<int64_t>(time.size())}, time}};
  Record state;
  state.set("next_sequence", next_sequence_).set("seconds", elapsed());
  state.set("loss_mean", loss_mean_).set("loss_deviation", loss_deviation_).set("spikes", spikes_);
  state.set("recoveries", recoveries_).set("since_line", since_line_.to_record());
  checkpoints_.save(step_, arrays, state);
}

void Trainer::restore(const Checkpoint& checkpoint) {
  const std::vector<int64_t> shape = {first_moment_.numel()};
  const SafetensorsFile& file = checkpoint.arrays;
  file.read_f32("weights", shape, model_.parameters().values());
  file.read_f32("average", shape, average_.parameters().values());
  file.read_f32("first_moment", shape, first_moment_.values());
  file.read_f32("second_moment", shape, second_moment_.values());
  const auto table = [&](const char* name) {
    const TensorInfo* info = file.find(name);
    if (info == nullptr) fail("{}: expected a tensor '{}'", file.path().string(), name);
    std::vector<float> values(info->bytes.size() / sizeof(float));
    file.read_f32(name, info->shape, values);
    return std::vector<double>(values.begin(), values.end());
  };
  model_.set_time(EntropicTime(table("time.log_snr"), table("time.value")));
  average_.set_time(model_.time());
  const Record& state = checkpoint.state;
  step_ = checkpoint.step;
  next_sequence_ = state.get_int("next_sequence");
  earlier_seconds_ = state.get_double("seconds");
  start_ = Clock::now();
  loss_mean_ = state.get_double("loss_mean");
  loss_deviation_ = state.get_double("loss_deviation");
  spikes_ = state.get_int("spikes");
  recoveries_ = state.get_int("recoveries");
  since_line_ = LossMean::from_record(state.get_record("since_line"));
}

}  // namespace evo
