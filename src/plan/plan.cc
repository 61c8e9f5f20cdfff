#include "plan/plan.h"

#include <algorithm>
#include <cmath>

#include "train/ranks/partition.h"

namespace evo::plan {
namespace {

// The pool rounds arrays up, by 6% on average; program, MPI and operating system want some too.
constexpr double kUsableShare = 0.9;

void require_positive(const char* name, double value) {
  if (value > 0 && std::isfinite(value)) return;
  fail("impossible machine: {} must be above 0, not {}", name, value);
}

/// Seconds for `parameters` numbers of `width` bytes, bucket by bucket.
double collective_time(const Plan& plan, double parameters, double width) {
  constexpr double kMessageOverhead = 1e-6;  // seconds of a processor, at either end
  const auto ranks = static_cast<double>(plan.machine.ranks);
  const double buckets = std::ceil(
      parameters / static_cast<double>(train::Partition::bucket_floats(plan.machine.ranks)));
  const double bucket = plan.machine.latency + 2 * (ranks - 1) * kMessageOverhead;
  return buckets * bucket + parameters * width * (ranks - 1) / ranks / plan.machine.bandwidth;
}

/// What a pass begins with: its gradients are complete only when the backward pass ends, and its
/// weights are needed at once.
double outer_parameters(const Plan& plan) {
  const train::RunConfig& c = plan.run.config;
  return static_cast<double>(c.vocab_size * c.hidden_size + plan.parameters.codes +
                             plan.parameters.evolve_in + plan.parameters.places);
}

StepTime step_time(const Plan& plan) {
  const train::RunConfig& c = plan.run.config;
  const double rank_tokens = plan.run.tokens_per_step() / static_cast<double>(plan.machine.ranks);
  const double second = plan.machine.flops * plan.machine.efficiency;
  StepTime time;
  time.compute = rank_tokens * plan.flops.total() / second;
  if (plan.machine.ranks == 1) return time;
  const double parameters = sum_of(plan.parameters);
  const double width = c.wire_format() == comm::Wire::kBF16 ? 2 : 4;
  time.reduce_scatter = collective_time(plan, parameters, width);
  time.all_gather = collective_time(plan, parameters, 4);
  // Only in the last of the passes is a gradient ever complete, and only the first meets weights
  // that are on their way.
  const double pass = rank_tokens / static_cast<double>(c.gradient_accumulation) / second;
  const double backward = (plan.flops.backward + plan.flops.recomputation) * pass;
  const double forward = (plan.flops.mature + plan.flops.evolving + plan.flops.attention) * pass;
  const double outer = outer_parameters(plan);
  time.hidden =
      std::clamp(time.reduce_scatter - collective_time(plan, outer, width), 0.0, backward) +
      std::clamp(time.all_gather - collective_time(plan, outer, 4), 0.0, forward);
  return time;
}

double backbone_parameters(const model::ModelConfig& config) {
  return static_cast<double>(count_parameters(config).backbone());
}

}  // namespace

void Machine::validate() const {
  if (ranks < 1 || ranks > 65536) {
    fail("impossible machine: ranks must be 1 to 65536, not {}", ranks);
  }
  require_positive("memory", memory);
  require_positive("flops", flops);
  require_positive("bandwidth", bandwidth);
  if (!(latency >= 0 && latency < 1)) {
    fail("impossible machine: latency must be 0 to 1 second, not {}", latency);
  }
  if (!(efficiency > 0 && efficiency <= 1)) {
    fail("impossible machine: efficiency must be above 0, at most 1, not {}", efficiency);
  }
}

double PlannedRun::tokens_per_step() const {
  return static_cast<double>(config.batch_size) * static_cast<double>(config.sequence_length) *
         static_cast<double>(config.gradient_accumulation);
}

double Plan::usable_memory() const {
  return kUsableShare * machine.memory;
}

double Plan::utilisation() const {
  return tokens_per_second() * flops.useful() /
         (machine.flops * static_cast<double>(machine.ranks));
}

double Plan::utilisation_6nd() const {
  return utilisation() * 6 * static_cast<double>(parameters.backbone()) / flops.useful();
}

Plan make_plan(const PlannedRun& run, const Machine& machine) {
  machine.validate();
  run.config.validate(static_cast<int>(machine.ranks));
  if (!(run.tokens > 0 && std::isfinite(run.tokens))) {
    fail("impossible plan: tokens must be above 0, not {}", run.tokens);
  }
  if (run.config.freeze_backbone) {
    fail("a plan is for training all weights: leave out freeze_backbone");
  }
  Plan plan;
  plan.run = run;
  plan.machine = machine;
  plan.parameters = count_parameters(run.config);
  plan.memory = rank_memory(run.config,
                            {machine.ranks, run.config.batch_size / machine.ranks, run.precision});
  plan.flops = token_flops(run.config);
  plan.time = step_time(plan);
  plan.critical_tokens =
      critical_batch(static_cast<double>(plan.parameters.backbone()), run.tokens);
  return plan;
}

void choose_batch(PlannedRun& run, const Machine& machine, double tokens_per_step) {
  machine.validate();
  train::RunConfig& config = run.config;
  config.model::ModelConfig::validate();
  const bool free = tokens_per_step == 0;
  if (free) {
    const double critical = critical_batch(backbone_parameters(config), run.tokens);
    tokens_per_step = std::exp2(std::floor(std::log2(critical)));
  }
  const double share = tokens_per_step / static_cast<double>(config.sequence_length) /
                       static_cast<double>(machine.ranks);  // sequences of a rank in a step
  int64_t sequences = 16;
  const auto suits = [&] {
    const RankMemory memory = rank_memory(config, {machine.ranks, sequences, run.precision});
    // Of several passes there are enough for their number to be near the one that is wanted.
    const double passes = share / static_cast<double>(sequences);
    return (passes >= 4 || passes == 1 || passes == 2) && sequences * machine.ranks <= 65536 &&
           memory.total() <= kUsableShare * machine.memory;
  };
  while (sequences > 1 && !suits()) sequences /= 2;
  const double passes = share / static_cast<double>(sequences);
  config.batch_size = sequences * machine.ranks;
  config.gradient_accumulation =
      std::clamp<int64_t>(free ? static_cast<int64_t>(passes) : std::llround(passes), 1, 65536);
}

double reasonable_tokens(const model::ModelConfig& config) {
  return 20 * backbone_parameters(config);
}

double critical_batch(double parameters, double tokens) {
  const double loss = 1.69 + 406.4 / std::pow(parameters, 0.34) + 410.7 / std::pow(tokens, 0.28);
  return 2e8 / std::pow(loss, 1 / 0.21);
}

std::string decimal_bytes(double bytes) {
  const char* const units[] = {"B", "KB", "MB", "GB", "TB"};
  int unit = 0;
  for (; bytes >= 999.5 && unit < 4; ++unit) bytes /= 1000;
  const int decimals = unit == 0 || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2;
  return fmt::format("{:.{}f} {}", bytes, decimals, units[unit]);
}

}  // namespace evo::plan
