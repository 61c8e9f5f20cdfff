// What a training run on many ranks will need and how long it will take, before anybody pays for
// it: arithmetic on the settings of a run and the figures of a machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/plan_count.h"
#include "plan/plan_memory.h"

namespace evo::plan {

/// One rank: a process with its processor or accelerator.
struct Machine {
  int64_t ranks = 1;
  double memory = 0;       ///< bytes of a rank
  double flops = 0;        ///< a rank's peak in matrix products, FLOP/s
  double efficiency = 0;   ///< share of that peak that a step without communication reaches
  double bandwidth = 0;    ///< bytes per second that a rank sends, while it receives as many
  double latency = 10e-6;  ///< seconds until a message arrives

  /// Throws Error for what no machine has.
  void validate() const;
};

/// What is to be trained. `config.batch_size` sequences are split over the ranks in each of
/// `config.gradient_accumulation` passes of a step.
struct PlannedRun {
  train::RunConfig config;
  double tokens = 0;  ///< of text, in the whole run
  tensor::Precision precision = tensor::Precision::kBF16;

  [[nodiscard]] double tokens_per_step() const;
};

/// Seconds of a step. A bucket costs a latency, an overhead for each message that is sent and
/// received (Culler et al. 1993, "LogP"), and its bytes: of p ranks each sends (p - 1) / p of it
/// and receives as much.
struct StepTime {
  double compute = 0;
  double reduce_scatter = 0;  ///< of gradients, bucket by bucket beside the last backward pass
  double all_gather = 0;      ///< of weights, beside the next step's first forward pass
  double hidden = 0;          ///< what of that takes place beside those passes

  [[nodiscard]] double communication() const { return reduce_scatter + all_gather; }
  [[nodiscard]] double exposed() const { return communication() - hidden; }
  [[nodiscard]] double total() const { return compute + exposed(); }

  template <class V>
  void visit(V& v) {
    v("compute", compute, "products and all else of a rank");
    v("reduce_scatter", reduce_scatter, "reduce-scatter of gradients");
    v("all_gather", all_gather, "all-gather of weights");
    v("hidden", hidden, "hidden beside computation");
  }
};

struct Plan {
  PlannedRun run;
  Machine machine;
  ParameterCount parameters;
  RankMemory memory;
  TokenFlops flops;
  StepTime time;
  double critical_tokens = 0;  ///< of a step; more are not worth their time (critical_batch())

  [[nodiscard]] double usable_memory() const;
  [[nodiscard]] bool fits() const { return memory.total() <= usable_memory(); }
  [[nodiscard]] double steps() const { return run.tokens / run.tokens_per_step(); }
  [[nodiscard]] double tokens_per_second() const { return run.tokens_per_step() / time.total(); }
  [[nodiscard]] double days() const { return run.tokens / tokens_per_second() / 86400; }
  /// Useful FLOPs over what the ranks could do: Chowdhery et al. 2022, appendix B.
  [[nodiscard]] double utilisation() const;
  /// The same of 6 FLOPs per parameter of the backbone and token: as if it were an autoregressive
  /// model of that size, which is how other programs' figures are counted.
  [[nodiscard]] double utilisation_6nd() const;
};

/// Throws Error for impossible settings, and for a batch that cannot be split over the ranks.
[[nodiscard]] Plan make_plan(const PlannedRun& run, const Machine& machine);

/// Chooses batch_size and gradient_accumulation for about `tokens_per_step` (0: the largest power
/// of two that is not beyond the critical batch): as many sequences per pass and rank as fit, up to
/// 16.
void choose_batch(PlannedRun& run, const Machine& machine, double tokens_per_step);

/// Tokens that are worth training such a model on: 20 per parameter of the backbone (Hoffmann et
/// al. 2022, "Chinchilla").
[[nodiscard]] double reasonable_tokens(const model::ModelConfig& config);

/// The batch in tokens beyond which more of them save hardly any steps: 2e8 / loss^(1 / 0.21)
/// (Kaplan et al. 2020, equation 1.4), at the loss that Hoffmann et al. 2022 expect of an
/// autoregressive model of `parameters` after `tokens`. Both were fitted to other data and
/// tokenizers than ours: right within a factor of some two.
[[nodiscard]] double critical_batch(double parameters, double tokens);

/// What limits the run first, and what can be done about it.
struct Advice {
  enum class Limit { kMemory, kCommunication, kBatch, kCompute };
  Limit limit = Limit::kCompute;
  std::string finding;               ///< in words, with numbers
  std::vector<std::string> changes;  ///< each with what it brings, by the same arithmetic
};
[[nodiscard]] const char* limit_name(Advice::Limit limit);
[[nodiscard]] Advice advise(const Plan& plan);

/// "66.5 GB": powers of 1000, as memory and bandwidth are sold.
[[nodiscard]] std::string decimal_bytes(double bytes);

}  // namespace evo::plan
