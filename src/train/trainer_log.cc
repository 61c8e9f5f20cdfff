// What a run tells while it trains: lines of metrics, the loss curve, the progress line.
#include <cmath>
#include <limits>

#include "train/trainer.h"

namespace evo {

void Trainer::log(const StepResult& result, bool stopped, Progress& progress) {
  state_.since_line.add(result.loss);
  // An interruption adds a line of its own and leaves the losses for the resumed run's next one,
  // which so is the same as without the interruption.
  const bool validation_planned = state_.step % config_.validate_every == 0 || finished();
  const bool planned = validation_planned || state_.step % config_.log_every == 0;
  const bool validation_due = validation_planned || stopped;
  if (!planned && !validation_due) return;

  summary_.last = state_.since_line.mean();
  measure_rate();
  summary_.communication_hidden = rank_times_.hidden_share();
  Record line = metrics_line(result);
  if (validation_due) {
    summary_.validation = validate();
    line.set("valid_ar_nll", summary_.validation.ar_nll);
    if (config_.flow) {
      line.set("valid_flow_loss", summary_.validation.flow)
          .set("valid_inner_loss", summary_.validation.inner);
      line.set("valid_elbo", summary_.validation.elbo);
      if (config_.ahead_size > 0) line.set("valid_ahead_loss", summary_.validation.ahead);
    }
  }
  if (metrics_) metrics_->add(line);
  if (metrics_ && validation_due) metrics_->draw(std::filesystem::path(options_.out) / "loss.svg");

  const std::string elbo =
      summary_.last.elbo_rows > 0 ? fmt::format("  ELBO {:.3f}", summary_.last.elbo) : "";
  const std::string of_peak =
      std::isnan(summary_.gemm_peak_fraction)
          ? ""
          : fmt::format("  {:.0f}% of peak", 100 * summary_.gemm_peak_fraction);
  progress.update(config_.steps > 0 ? static_cast<double>(state_.step) : elapsed(),
                  fmt::format("loss {:.3f}  AR {:.3f}{}  {:.0f} tokens/s{}", summary_.last.total,
                              summary_.last.ar_nll, elbo, summary_.tokens_per_second, of_peak));
  if (planned) state_.since_line = {};
  start_rate();
}

void Trainer::start_rate() {
  rate_start_ = Clock::now();
  rate_start_step_ = state_.step;
  rank_times_.clear();
}

void Trainer::measure_rate() {
  const double seconds = std::chrono::duration<double>(Clock::now() - rate_start_).count();
  const ModelCost cost = model_cost(config_, config_.sequence_length);
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

Record Trainer::metrics_line(const StepResult& result) const {
  Record line;
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

void Trainer::add_rank_metrics(Record& line) const {
  const double steps = static_cast<double>(state_.step - rate_start_step_);
  line.set("ranks", ranks_.size()).set("slowest_rank", rank_times_.slowest());
  line.set("slowest_to_median", rank_times_.slowest_to_median());
  line.set("communication_seconds", rank_times_.communication_seconds() / steps);
  line.set("communication_hidden", rank_times_.hidden_share());
}

}  // namespace evo
