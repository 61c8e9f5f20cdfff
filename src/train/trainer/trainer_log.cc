// What a run tells while it trains: lines of metrics, the loss curve, the progress line.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/log.h"
#include "model/layout.h"
#include "train/trainer/trainer.h"

namespace evo::train {

void Trainer::write_line(json::Record line, bool validated) {
  if (validated) {
    line.set("valid_ar_nll", summary_.validation.ar_nll);
    line.set("valid_sequences", validated_);
    if (config_.flow) {
      line.set("valid_flow_loss", summary_.validation.flow)
          .set("valid_inner_loss", summary_.validation.inner);
      line.set("valid_elbo", summary_.validation.elbo);
      if (config_.ahead_size > 0) line.set("valid_ahead_loss", summary_.validation.ahead);
    }
  }
  if (metrics_) metrics_->add(line);
  if (metrics_ && validated) metrics_->draw(std::filesystem::path(options_.out) / "loss.svg");
}

std::string Trainer::progress_note() const {
  const std::string elbo =
      summary_.last.elbo_rows > 0 ? fmt::format("  ELBO {:.3f}", summary_.last.elbo) : "";
  const std::string of_peak =
      std::isnan(summary_.gemm_peak_fraction)
          ? ""
          : fmt::format("  {:.0f}% of peak", 100 * summary_.gemm_peak_fraction);
  return fmt::format("loss {:.3f}  AR {:.3f}{}  {:.0f} tokens/s{}", summary_.last.total,
                     summary_.last.ar_nll, elbo, summary_.tokens_per_second, of_peak);
}

void Trainer::report_step(const StepResult& result) const {
  StepReport report;
  report.step = state_.step;
  report.share = progress();
  report.seconds = elapsed();
  report.remaining_seconds = elapsed() * (1 - report.share) / report.share;
  report.loss = result.loss;
  const double since_line = std::chrono::duration<double>(Clock::now() - rate_start_).count();
  const int64_t steps = state_.step - rate_start_step_;
  report.tokens_per_second = steps > 0 ? static_cast<double>(steps * tokens_per_step()) / since_line
                                       : summary_.tokens_per_second;
  options_.on_step(report);
}

void Trainer::show_pace(const std::string& what, double share) {
  if (progress_ == nullptr) return;
  const bool by_steps = config_.steps > 0;
  const double done = by_steps ? static_cast<double>(state_.step) : elapsed();
  progress_->update(done, fmt::format("{}: {:.0f}%  {}", what, 100 * share, note_));
}

void Trainer::explain_pace(const std::string& text) {
  if (progress_ != nullptr) progress_->finish();
  if (ranks_.is_first()) log_line(text);
}

// --- The time until the end of the run

double Trainer::training_seconds() const {
  if (config_.minutes == 0) return std::numeric_limits<double>::infinity();
  return std::max(0.0, config_.minutes * 60 - agreed_closing_);
}

double Trainer::closing_seconds() const {
  return options_.closing_seconds + validation_seconds() + saving_seconds();
}

double Trainer::seconds_per_validated() const {
  if (seconds_per_validated_ > 0) return seconds_per_validated_;
  // Until one was measured: a sequence takes half of what its part of a step does.
  const auto per_step = static_cast<double>(config_.batch_size * config_.gradient_accumulation);
  return 0.5 * agreed_step_ / per_step;
}

double Trainer::validation_seconds() const {
  return seconds_per_validated() * static_cast<double>(validation_sequences());
}

int64_t Trainer::validation_sequences() const {
  const int64_t all = std::min(config_.validation_sequences, validation_.sequences_per_epoch());
  const double each = seconds_per_validated();
  if (config_.minutes == 0 || ranks_.size() > 1 || !(each > 0)) return all;
  constexpr double kShare = 0.1;  // of the time that a run has
  const double affordable = std::max(1.0, kShare * config_.minutes * 60 / each);
  return affordable < static_cast<double>(all) ? static_cast<int64_t>(affordable) : all;
}

double Trainer::checkpoint_bytes() const {
  return 2.0 * static_cast<double>(arrays_.model.parameters().values().size_bytes()) +
         static_cast<double>(arrays_.written_bytes());
}

double Trainer::saving_seconds() const {
  const auto model = static_cast<double>(arrays_.model.parameters().values().size_bytes());
  return seconds_per_saved_byte_ * (checkpoint_bytes() + model);
}

Pace::Clock::time_point Trainer::deadline() const {
  const double left = training_seconds() - state_.seconds;
  if (std::isinf(left)) return Clock::time_point::max();
  return start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(left));
}

// --- Rates

void Trainer::start_rate() {
  rate_start_ = Clock::now();
  rate_start_step_ = state_.step;
  rank_times_.clear();
}

void Trainer::measure_rate() {
  const double seconds = std::chrono::duration<double>(Clock::now() - rate_start_).count();
  const model::ModelCost cost = model::model_cost(config_, config_.sequence_length);
  const double first_passes =
      config_.flow ? config_.self_conditioning * cost.first_pass_flops_per_token : 0;
  summary_.tokens_per_second =
      static_cast<double>((state_.step - rate_start_step_) * tokens_per_step()) / seconds;
  // What is frozen has no gradients, which the count does not know.
  const bool counted = !config_.freeze_backbone && !config_.freeze_flow;
  summary_.gemm_peak_fraction = counted ? summary_.tokens_per_second *
                                              (cost.training_flops_per_token + first_passes) *
                                              1e-9 / peak_gflops_
                                        : std::numeric_limits<double>::quiet_NaN();
}

json::Record Trainer::metrics_line(const StepResult& result) const {
  json::Record line;
  line.set("step", state_.step)
      .set("tokens", state_.step * tokens_per_step())
      .set("loss", summary_.last.total);
  line.set("ar_nll", summary_.last.ar_nll);
  if (config_.flow) {
    line.set("flow_loss", summary_.last.flow).set("inner_loss", summary_.last.inner);
    if (config_.ahead_size > 0) line.set("ahead_loss", summary_.last.ahead);
    line.set("maturity_loss", summary_.last.maturity).set("elbo", summary_.last.elbo);
  }
  line.set("learning_rate", result.learning_rate).set("gradient_norm", result.gradient_norm);
  line.set("tokens_per_second", summary_.tokens_per_second);
  line.set("gemm_peak_fraction", summary_.gemm_peak_fraction).set("seconds", elapsed());
  if (ranks_.size() > 1) add_rank_metrics(line);
  return line;
}

void Trainer::add_rank_metrics(json::Record& line) const {
  const double steps = static_cast<double>(state_.step - rate_start_step_);
  line.set("ranks", ranks_.size()).set("slowest_rank", rank_times_.slowest());
  line.set("slowest_to_median", rank_times_.slowest_to_median());
  line.set("communication_seconds", rank_times_.communication_seconds() / steps);
  line.set("communication_hidden", rank_times_.hidden_share());
}

}  // namespace evo::train
