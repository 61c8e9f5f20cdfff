#include "plan/fit_memory.h"

#include <algorithm>

#include "base/terminal/progress.h"
#include "plan/plan_memory.h"
#include "train/loss/loss.h"

namespace evo::plan {
namespace {

// Program, libraries, threads' stacks, tables of a tokenizer and of text: of the order of what any
// command takes.
constexpr double kProgram = 150e6;
// Arrays of like sizes do not always find each other's places free again.
constexpr double kPoolShare = 1.1;

int64_t sequences_at_once(const train::RunConfig& config) {
  return config.micro_batch == 0 ? config.batch_size
                                 : std::min(config.micro_batch, config.batch_size);
}

}  // namespace

double process_memory(const train::RunConfig& config, tensor::Precision precision) {
  const RankMemory memory =
      rank_memory(config, {.sequences = sequences_at_once(config), .precision = precision});
  // Parts of other lengths have arrays of other sizes, which take no places of one another.
  const int64_t rest = config.batch_size % sequences_at_once(config);
  const double sizes = rest == 0 ? 1 : 2;
  const double lasting = memory.weights + memory.gradients + memory.moments + memory.average;
  return kProgram + lasting + sizes * kPoolShare * (memory.total() - lasting);
}

MemoryFit fit_memory(const train::RunConfig& config, tensor::Precision precision,
                     double available) {
  train::RunConfig tried = config;
  MemoryFit fit{config.micro_batch, config.recompute, process_memory(config, precision)};
  fit.bytes_as_asked = fit.bytes;
  const auto try_it = [&] {
    fit.micro_batch = tried.micro_batch;
    fit.recompute = tried.recompute;
    fit.bytes = process_memory(tried, precision);
    fit.fits = fit.bytes <= available;
    return fit.fits;
  };
  if (try_it()) return fit;
  const int64_t first = sequences_at_once(config);
  for (const bool recompute : {false, true}) {
    tried.recompute = config.recompute || recompute;
    for (int64_t parts = 1; parts <= config.batch_size; ++parts) {
      tried.micro_batch = config.batch_size / parts;
      const bool even = config.batch_size % parts == 0;
      if (even && tried.micro_batch <= first && try_it()) return fit;
    }
  }
  return fit;
}

std::string describe_fit(const train::RunConfig& config, const MemoryFit& fit, double available) {
  const std::string room = fmt::format("{} can be had", format_bytes(available));
  if (!fit.fits) {
    return fmt::format(
        "not enough memory: a step of this run takes {} at least, one sequence of {} tokens at a "
        "time, and {}. Use a smaller model, a shorter `sequence_length`, or close what takes the "
        "rest; --memory tries it with other bounds",
        format_bytes(fit.bytes), config.sequence_length, room);
  }
  if (fit.micro_batch == config.micro_batch && fit.recompute == config.recompute) return "";
  const size_t parts = train::micro_batches(config.batch_size, fit.micro_batch).size();
  return fmt::format(
      "a step would take {} of memory, and {}: each pass is computed in {} part{}{}, which takes "
      "{}",
      format_bytes(fit.bytes_as_asked), room, parts, parts == 1 ? "" : "s",
      fit.recompute && !config.recompute ? ", with layers recomputed" : "",
      format_bytes(fit.bytes));
}

}  // namespace evo::plan
