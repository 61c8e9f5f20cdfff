#include "train/trainer/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/ranges.h>

#include "base/log.h"
#include "base/process/watcher.h"
#include "ops/machine.h"
#include "train/loss/validation.h"

namespace evo::train {
namespace {

const RunConfig& validated(const RunConfig& config, int ranks) {
  config.validate(ranks);
  return config;
}

data::LoaderOptions loader_options(const data::TokenFile& tokens, const RunConfig& config,
                                   int32_t end_of_text, bool held_out) {
  const int64_t middle = held_out_begin(tokens, config);
  data::LoaderOptions options;
  options.begin = held_out ? middle : 0;
  options.end = held_out ? tokens.size() : middle;
  options.length = config.sequence_length;
  options.vocab_size = config.vocab_size;
  options.seed = static_cast<uint64_t>(config.seed);
  options.shuffle = !held_out;
  if (config.whole_documents) options.separator = end_of_text;
  return options;
}

/// What decides, beside the threads, on the bits of a training product.
std::string arithmetic(tensor::Precision precision) {
  return fmt::format("{}, {}", precision == tensor::Precision::kBF16 ? "bf16" : "f32",
                     ops::isa_name(ops::isa()));
}

}  // namespace

Trainer::Trainer(const RunConfig& config, const data::TokenFile& tokens, TrainOptions options)
    : alone_(options.ranks == nullptr ? comm::single_communicator() : nullptr),
      ranks_(alone_ ? *alone_ : *options.ranks),
      config_(validated(config, ranks_.size())),
      options_(std::move(options)),
      arrays_(config, ranks_.rank(), ranks_.size()),
      training_(tokens, loader_options(tokens, config, options_.end_of_text, false)),
      validation_(tokens, loader_options(tokens, config, options_.end_of_text, true)),
      checkpoints_(std::filesystem::path(options_.out) / "checkpoints",
                   static_cast<int>(config.keep_checkpoints)),
      start_(Clock::now()),
      pace_({.stop = options_.stop,
             .patience = options_.patience,
             // Ranks have to agree, and do so after a step.
             .may_abandon = ranks_.size() == 1,
             .show = [this](const std::string& what, double share) { show_pace(what, share); },
             .explain = [this](const std::string& text) { explain_pace(text); }}) {
  std::vector<float> counts(static_cast<size_t>(config.vocab_size),
                            1.0f);  // no token is impossible
  for (int64_t i = 0; i < tokens.size(); ++i) counts[tokens.at(i)] += 1;
  const float total = static_cast<float>(tokens.size() + config.vocab_size);
  for (float& count : counts) count /= total;
  arrays_.model.set_unigram(counts);
  if (ranks_.size() > 1) {
    exchange_ = std::make_unique<Exchange>(ranks_, arrays_.partition, config_.wire_format());
  }
  arrays_.model.set_gate([this](int64_t use) {
    if (exchange_) exchange_->await(use);
    pace_.at(forward_share(use));
  });

  std::optional<weights::Checkpoint> checkpoint;
  if (options_.resume) checkpoint = latest_good(checkpoints_, ranks_);
  if (checkpoint) {
    restore(*checkpoint);
    if (ranks_.is_first()) log_info("resuming after step {}", state_.step);
  } else {
    state_.arithmetic = arithmetic(options_.precision);
    arrays_.model.initialize(static_cast<uint64_t>(config.seed));
    if (options_.initialize) options_.initialize(arrays_.model);
    arrays_.start_average();
    const bool stopped = interrupted() && ranks_.size() == 1;  // ranks agree on that later
    if (config_.flow && !config_.freeze_flow && !stopped) {
      constexpr int64_t kLarge = 1 << 14;  // a table that takes seconds
      if (ranks_.is_first() && config_.vocab_size > kLarge) {
        log_info("placing the codes of {} tokens in time", config_.vocab_size);
      }
      estimate_time();
    }
  }
  open_metrics();
}

TrainSummary Trainer::run() {
  try {
    return train();
  } catch (const std::exception& error) {
    // At once: the other ranks wait for this one, and its own transfers for them.
    if (ranks_.size() > 1) ranks_.end_job(error.what());
    throw;
  }
}

TrainSummary Trainer::train() {
  peak_gflops_ = comm::RankTable(ranks_, options_.peak_gflops).sum(0);
  start_rate();
  const bool by_steps = config_.steps > 0;
  Progress progress("training",
                    by_steps ? static_cast<double>(config_.steps) : config_.minutes * 60,
                    by_steps ? "steps" : "s", options_.quiet || !ranks_.is_first(),
                    by_steps ? static_cast<double>(state_.step) : state_.seconds);
  progress_ = &progress;
  const int64_t first_step = state_.step;
  bool stopped = agree_to_stop();
  // The first step is begun however little time there is.
  while ((!finished() || state_.step == 0) && !stopped) {
    const std::optional<StepResult> result = step();
    if (!result) break;
    stopped = result->stop;
    if (!healthy(*result)) {
      recover(*result);
      continue;
    }
    take_stock(*result, stopped);
    if (options_.on_step && ranks_.is_first()) report_step(*result);
    stopped = stopped || pace_.stopping();
    if (state_.step % config_.checkpoint_every == 0) save_checkpoint();
    if (config_.sample_every > 0 && state_.step % config_.sample_every == 0 && !finished())
      sample();
  }
  if (finished() && unvalidated_ && !pace_.stopping()) sum_up(*unvalidated_, true);
  if (state_.step == 0 && finished() && !pace_.stopping()) {
    log_warning(
        "{:.3g} minutes were over before the first step was complete: nothing is learnt. Give more "
        "time, or a smaller `batch_size` or `sequence_length`",
        config_.minutes);
  }
  if (state_.step == first_step) {  // a finished run was resumed: there are no training losses
    summary_.last = summary_.validation = LossMean().mean();
    if (!stopped && !pace_.stopping()) summary_.validation = validate();
  }
  progress.finish();
  progress_ = nullptr;
  summary_.tokens = state_.step * tokens_per_step();
  summary_.interrupted = !finished();
  if (state_.step > 0 || !summary_.interrupted) {  // else there is nothing that was learnt
    save_checkpoint();
    with_average([&](const model::Model& model) {
      if (ranks_.is_first()) model.save(options_.out);
    });
  }
  summary_.step = state_.step;
  summary_.seconds = elapsed();
  summary_.peak_bytes = tensor::pool_stats().peak_bytes + arrays_.written_bytes();
  summary_.ranks = ranks_.size();
  return summary_;
}

void Trainer::take_stock(const StepResult& result, bool stopped) {
  state_.since_line.add(result.loss);
  // An interruption adds a line of its own and leaves the losses for the resumed run's next one,
  // which so is the same as without the interruption. Nobody who stops a run waits for a long
  // validation.
  constexpr double kShortValidation = 2;  // seconds
  const bool validation_planned = state_.step % config_.validate_every == 0 || finished();
  const bool planned = validation_planned || state_.step % config_.log_every == 0;
  const bool validates =
      validation_planned || (stopped && validation_seconds() <= kShortValidation);
  unvalidated_ = result;
  if (planned || stopped) sum_up(result, validates);
  if (planned) state_.since_line = {};
}

void Trainer::sum_up(const StepResult& result, bool validates) {
  const LossReport mean = state_.since_line.mean();
  if (!std::isnan(mean.total)) summary_.last = mean;  // else this step has had its line
  measure_rate();
  summary_.communication_hidden = rank_times_.hidden_share();
  json::Record line = metrics_line(result);  // of the time before the validation
  bool validated = false;
  if (validates) {
    summary_.validation = validate();
    validated = !std::isnan(summary_.validation.ar_nll);  // it was not abandoned
  }
  if (validated) unvalidated_.reset();
  write_line(std::move(line), validated);
  note_ = progress_note();
  progress_->update(config_.steps > 0 ? static_cast<double>(state_.step) : elapsed(), note_);
  start_rate();
}

bool Trainer::agree_to_stop() {
  const double own[] = {options_.stop() ? 1.0 : 0.0, elapsed(), closing_seconds()};
  const comm::RankTable all(ranks_, own);
  agreed_time_ = all.row(0)[1];
  agreed_closing_ = all.row(0)[2];
  return all.sum(0) > 0;
}

void Trainer::settle() {
  if (exchange_) exchange_->finish();
}

double Trainer::elapsed() const {
  return state_.seconds + std::chrono::duration<double>(Clock::now() - start_).count();
}

double Trainer::progress() const {
  double done = 0;
  if (config_.steps > 0)
    done = static_cast<double>(state_.step) / static_cast<double>(config_.steps);
  if (config_.minutes > 0) done = std::max(done, agreed_time_ / training_seconds());
  return std::min(done, 1.0);
}

bool Trainer::finished() const {
  // A long step that would end long after its time is not begun.
  constexpr double kLate = 1;
  return progress() >= 1 || agreed_time_ + agreed_step_ - kLate > training_seconds();
}

bool Trainer::healthy(const StepResult& result) {
  if (!std::isfinite(result.loss.total) || !std::isfinite(result.gradient_norm)) return false;
  return state_.watch.steady(result.loss.ar_nll, state_.step);
}

void Trainer::recover(const StepResult& result) {
  settle();
  const std::string where = ranks_.size() == 1 || result.not_finite.empty()
                                ? ""
                                : fmt::format(" on rank {}", fmt::join(result.not_finite, ", "));
  // A NaN's sign says nothing.
  const std::string what = fmt::format(
      "step {}{}: loss {} and gradient norm {} (running mean of the AR loss {:.3f})", state_.step,
      where, std::abs(result.loss.total), result.gradient_norm, state_.watch.mean);
  const std::optional<weights::Checkpoint> checkpoint = latest_good(checkpoints_, ranks_);
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
  if (ranks_.is_first()) {
    log_warning("training diverged at {}; going back to step {} once, past the data that did it",
                what, checkpoint->step);
  }
  const int64_t beyond = state_.next_sequence;
  restore(*checkpoint);
  state_.next_sequence = beyond;
  state_.recoveries = 1;
  start_rate();
  open_metrics();
}

void Trainer::open_metrics() {
  if (!ranks_.is_first()) return;
  metrics_.emplace(std::filesystem::path(options_.out) / "metrics.jsonl", state_.step);
}

template <class Use>
void Trainer::with_average(const Use& use) {
  settle();
  const bool averages = config_.average_decay > 0;
  if (averages) exchange_average();
  try {
    use(std::as_const(arrays_.model));
  } catch (...) {
    if (averages) exchange_average();
    throw;
  }
  if (averages) exchange_average();
}

/// Parts change places on the rank that owns them; the others get the result. So a whole average is
/// never in memory beside the weights.
void Trainer::exchange_average() {
  const std::span<float> weights = arrays_.model.parameters().values();
  for (const Bucket& bucket : arrays_.partition.buckets()) {
    for (const comm::IndexRange part : arrays_.trained_parts(bucket)) {
      std::ranges::swap_ranges(comm::part_of(arrays_.own_weights(bucket), part),
                               comm::part_of(arrays_.own_part(arrays_.average, bucket), part));
    }
    if (exchange_) exchange_->share(bucket, weights);
  }
  settle();
}

LossReport Trainer::validate() {
  const ValidationOptions options{validation_sequences(), options_.precision,
                                  [this](int64_t pass) { pace_.begin_pass(pass); }};
  const int64_t passes = validation_passes(config_, options.sequences, ranks_.size());
  const Clock::time_point start = Clock::now();
  pace_.begin("the validation", passes, Clock::time_point::max());
  LossReport report = LossMean().mean();
  try {
    with_average([&](const model::Model& model) {
      report = validation_loss(model, validation_, config_, options, ranks_);
    });
    seconds_per_validated_ = std::chrono::duration<double>(Clock::now() - start).count() /
                             static_cast<double>(options.sequences);
    validated_ = options.sequences;
  } catch (const Abandoned&) {
    report = LossMean().mean();
  }
  pace_.end();
  return report;
}

void Trainer::sample() {
  if (!options_.on_sample) return;
  with_average([&](const model::Model& model) {
    if (ranks_.is_first()) options_.on_sample(model, state_.step);
  });
}

int64_t Trainer::tokens_per_step() const {
  return config_.batch_size * config_.sequence_length * config_.gradient_accumulation;
}

void Trainer::save_checkpoint() {
  RunState state = state_;
  state.seconds = elapsed();
  settle();
  const Clock::time_point start = Clock::now();
  save_run(checkpoints_, arrays_, state, ranks_);
  seconds_per_saved_byte_ =
      std::chrono::duration<double>(Clock::now() - start).count() / checkpoint_bytes();
}

void Trainer::restore(const weights::Checkpoint& checkpoint) {
  state_ = restore_run(checkpoint, arrays_);
  unvalidated_.reset();
  const std::string before = std::exchange(state_.arithmetic, arithmetic(options_.precision));
  if (!before.empty() && before != state_.arithmetic && ranks_.is_first()) {
    log_info(
        "the checkpoint's products were computed in {}, from here on they are in {}: the numbers "
        "differ in their last bits from those of a run on the same kind of machine",
        before, state_.arithmetic);
  }
  start_ = Clock::now();
}

}  // namespace evo::train
