// What limits a planned run, and what would change that: other plans are made and compared.
#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "base/terminal/progress.h"
#include "plan/plan.h"
#include "train/ranks/partition.h"

namespace evo::plan {
namespace {

constexpr double kNoticeable = 0.1;  // share of a step that may be spent waiting for others
constexpr int64_t kMost = 65536;     // ranks, sequences of a pass, passes of a step

double exposed_share(const Plan& plan) {
  return plan.time.exposed() / plan.time.total();
}

std::string percent(double share) {
  return fmt::format("{:.0f}%", 100 * share);
}

Plan changed(const Plan& plan, const std::function<void(PlannedRun&, Machine&)>& change) {
  PlannedRun run = plan.run;
  Machine machine = plan.machine;
  change(run, machine);
  return make_plan(run, machine);
}

/// The same step in passes of one sequence per rank.
void use_short_passes(PlannedRun& run, Machine& machine) {
  const int64_t passes = run.config.gradient_accumulation * run.config.batch_size / machine.ranks;
  run.config.gradient_accumulation = std::min(kMost, passes);
  run.config.batch_size = machine.ranks;
}

std::string batch_settings(const train::RunConfig& config) {
  return fmt::format("batch_size={} gradient_accumulation={}", config.batch_size,
                     config.gradient_accumulation);
}

/// The same passes on as few ranks as can hold the sharded parts; nothing if no number can.
std::optional<int64_t> least_ranks(const Plan& plan) {
  const double sharded = plan.memory.moments + plan.memory.average;
  const double room = plan.usable_memory() - (plan.memory.total() - sharded);
  const double ranks = std::ceil(sharded * static_cast<double>(plan.machine.ranks) / room);
  if (room <= 0 || ranks > static_cast<double>(kMost)) return {};
  return static_cast<int64_t>(ranks);
}

Advice about_memory(const Plan& plan) {
  Advice advice;
  advice.limit = Advice::Limit::kMemory;
  const RankMemory& memory = plan.memory;
  advice.finding = fmt::format("It does not fit: {} per rank, and {} of {} are usable",
                               decimal_bytes(memory.total()), decimal_bytes(plan.usable_memory()),
                               decimal_bytes(plan.machine.memory));
  const auto offer = [&](const std::string& what, const Plan& other) {
    if (!other.fits()) return;
    advice.changes.push_back(what + ": " + decimal_bytes(other.memory.total()) + ", fits");
  };
  const bool long_passes = plan.run.config.batch_size > plan.machine.ranks;
  Plan least = plan;
  if (long_passes) {
    least = changed(plan, use_short_passes);
    offer(batch_settings(least.run.config) + " (one sequence per pass)", least);
  }
  const auto recompute = [](PlannedRun& run, Machine&) { run.config.recompute = true; };
  if (!plan.run.config.recompute) {
    offer("recompute activations", changed(plan, recompute));
    least = changed(least, recompute);
    if (long_passes) offer("both", least);
  }
  if (const auto ranks = least_ranks(plan); ranks && *ranks > plan.machine.ranks) {
    advice.changes.push_back(fmt::format("at least {} ranks, with the same passes", *ranks));
  }
  if (!advice.changes.empty()) return advice;
  if (const auto ranks = least_ranks(least)) {
    advice.changes.push_back(
        fmt::format("at least {} ranks, one sequence per pass and recomputation", *ranks));
  }
  advice.changes.push_back(fmt::format(
      "ranks of at least {}: weights and gradients, which every rank holds whole, take {}",
      decimal_bytes(least.memory.total() / plan.usable_memory() * plan.machine.memory),
      decimal_bytes(memory.weights + memory.gradients)));
  return advice;
}

std::string gain(const Plan& plan, const Plan& other) {
  return fmt::format("{:+.0f}% tokens/s, {:.3g} days",
                     100 * (other.tokens_per_second() / plan.tokens_per_second() - 1),
                     other.days());
}

Advice about_batch(const Plan& plan) {
  Advice advice;
  advice.limit = Advice::Limit::kBatch;
  advice.finding = fmt::format(
      "A step of {} tokens is beyond the critical batch of about {}: the text is used "
      "less well",
      format_count(plan.run.tokens_per_step()), format_count(plan.critical_tokens));
  const double too_large = plan.run.tokens_per_step() / plan.critical_tokens;
  const int64_t passes = plan.run.config.gradient_accumulation;
  const auto share = static_cast<double>(plan.run.config.batch_size / plan.machine.ranks);
  if (passes > 1) {
    const auto fewer =
        std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(passes) / too_large));
    advice.changes.push_back(fmt::format("gradient_accumulation={}", fewer));
  } else if (share > 1) {
    advice.changes.push_back("fewer sequences per pass");
  }
  const double per_sequence = static_cast<double>(plan.run.config.sequence_length);
  advice.changes.push_back(
      fmt::format("at most {:.0f} ranks, of one sequence per step each",
                  std::max(1.0, std::floor(plan.critical_tokens / per_sequence))));
  return advice;
}

/// Bandwidth with which little of the communication would be waited for; nothing if latency alone
/// is too much.
std::optional<double> wanted_bandwidth(const Plan& plan) {
  for (double factor = 2; factor <= 1024; factor *= 2) {
    const double bandwidth = plan.machine.bandwidth * factor;
    const Plan other =
        changed(plan, [&](PlannedRun&, Machine& machine) { machine.bandwidth = bandwidth; });
    if (exposed_share(other) <= kNoticeable) return bandwidth;
  }
  return {};
}

Advice about_communication(const Plan& plan) {
  Advice advice;
  advice.limit = Advice::Limit::kCommunication;
  advice.finding =
      fmt::format("{} of a step is spent waiting for communication ({:.3g} s of {:.3g} s)",
                  percent(exposed_share(plan)), plan.time.exposed(), plan.time.total());
  if (plan.run.config.wire_format() == comm::Wire::kF32) {
    const Plan other = changed(plan, [](PlannedRun& run, Machine&) { run.config.wire = "bf16"; });
    advice.changes.push_back("wire=bf16: " + gain(plan, other));
  }
  const Plan longer = changed(plan, [](PlannedRun& run, Machine&) {
    run.config.gradient_accumulation = std::min(kMost, 2 * run.config.gradient_accumulation);
  });
  if (longer.run.tokens_per_step() <= plan.critical_tokens) {
    advice.changes.push_back(fmt::format("gradient_accumulation={}: {}",
                                         longer.run.config.gradient_accumulation,
                                         gain(plan, longer)));
  }
  if (const auto bandwidth = wanted_bandwidth(plan)) {
    advice.changes.push_back(fmt::format("{}/s per rank: waiting falls below {}",
                                         decimal_bytes(*bandwidth), percent(kNoticeable)));
  } else {
    // The size of buckets is no setting.
    const auto bucket =
        4.0 * static_cast<double>(train::Partition::bucket_floats(plan.machine.ranks));
    advice.changes.push_back(fmt::format(
        "fewer ranks, or larger buckets than of {}: messages of {} cost more than their bytes",
        decimal_bytes(bucket), decimal_bytes(bucket / static_cast<double>(plan.machine.ranks))));
  }
  return advice;
}

/// The same step on twice the ranks, if it can be divided so.
std::optional<Plan> on_twice_the_ranks(const Plan& plan) {
  const train::RunConfig& c = plan.run.config;
  const int64_t ranks = 2 * plan.machine.ranks;
  const bool divides = c.batch_size % ranks == 0;
  if (!divides && (c.gradient_accumulation % 2 != 0 || 2 * c.batch_size > kMost)) return {};
  if (ranks > kMost) return {};
  return changed(plan, [&](PlannedRun& run, Machine& machine) {
    machine.ranks = ranks;
    if (divides) return;
    run.config.batch_size *= 2;
    run.config.gradient_accumulation /= 2;
  });
}

Advice about_compute(const Plan& plan) {
  Advice advice;
  advice.limit = Advice::Limit::kCompute;
  advice.finding =
      fmt::format("Arithmetic: {} of a step is computation, at {} of the peak",
                  percent(plan.time.compute / plan.time.total()), percent(plan.machine.efficiency));
  if (const auto more = on_twice_the_ranks(plan)) {
    advice.changes.push_back(
        fmt::format("{} ranks, the same step: {}", more->machine.ranks, gain(plan, *more)));
  }
  if (plan.run.config.recompute) {
    const Plan other =
        changed(plan, [](PlannedRun& run, Machine&) { run.config.recompute = false; });
    if (other.fits()) advice.changes.push_back("no recomputation: " + gain(plan, other));
  }
  if (plan.machine.efficiency < 0.9) {
    const Plan other = changed(plan, [](PlannedRun&, Machine& machine) {
      machine.efficiency = std::min(1.0, machine.efficiency + 0.1);
    });
    advice.changes.push_back(
        fmt::format("efficiency of {}: {}", percent(other.machine.efficiency), gain(plan, other)));
  }
  return advice;
}

}  // namespace

const char* limit_name(Advice::Limit limit) {
  switch (limit) {
    case Advice::Limit::kMemory:
      return "memory";
    case Advice::Limit::kCommunication:
      return "communication";
    case Advice::Limit::kBatch:
      return "batch";
    case Advice::Limit::kCompute:
      break;
  }
  return "compute";
}

Advice advise(const Plan& plan) {
  if (!plan.fits()) return about_memory(plan);
  if (plan.run.tokens_per_step() > plan.critical_tokens) return about_batch(plan);
  if (exposed_share(plan) > kNoticeable) return about_communication(plan);
  return about_compute(plan);
}

}  // namespace evo::plan
