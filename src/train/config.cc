#include "train/config.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace evo::train {
namespace {

constexpr int64_t kMaxLength = int64_t{1} << 24;  // as `max_position_embeddings`
constexpr int64_t kMaxInt = std::numeric_limits<int>::max();

void require(bool holds, const char* rule) {
  if (!holds) fail("impossible training run: {}. Correct the configuration.", rule);
}

void require_count(const char* name, int64_t value, int64_t most = kMaxInt) {
  if (value >= 1 && value <= most) return;
  fail("impossible training run: `{}` must be 1 to {}, not {}. Correct the configuration.", name,
       most, value);
}

void require_fraction(const char* name, double value) {
  if (value >= 0 && value <= 1) return;
  fail("impossible training run: `{}` must be 0 to 1, not {}. Correct the configuration.", name,
       value);
}

void require_weight(const char* name, double value) {
  if (value >= 0 && std::isfinite(value)) return;
  fail("impossible training run: `{}` must be 0 or more, not {}. Correct the configuration.", name,
       value);
}

void check_optimizer(const TrainConfig& c) {
  require(c.learning_rate > 0 && c.learning_rate < 1, "`learning_rate` must be between 0 and 1");
  require_fraction("final_learning_rate", c.final_learning_rate);
  require_fraction("warmup", c.warmup);
  require(c.weight_decay >= 0 && c.weight_decay < 10, "`weight_decay` must be 0 to 10");
  require(c.beta1 >= 0 && c.beta1 < 1, "`beta1` must be in [0, 1)");
  require(c.beta2 >= 0 && c.beta2 < 1, "`beta2` must be in [0, 1)");
  require(c.clip >= 0, "`clip` must not be negative");
  require(c.average_decay >= 0 && c.average_decay < 1, "`average_decay` must be in [0, 1)");
}

void check_flow(const RunConfig& c) {
  require_weight("ar_weight", c.ar_weight);
  require_weight("flow_weight", c.flow_weight);
  require_weight("inner_weight", c.inner_weight);
  require_weight("maturity_weight", c.maturity_weight);
  require(c.code_gradient == "ce" || c.code_gradient == "mse" || c.code_gradient == "pca",
          "`code_gradient` must be ce, mse or pca");
  require(c.code_gradient != "pca" || c.code_size <= c.hidden_size,
          "`code_gradient` pca needs `code_size` of at most `hidden_size`");
  require(c.time_sampler == "mixed" || c.time_sampler == "uniform" || c.time_sampler == "ripening",
          "`time_sampler` must be mixed, uniform or ripening");
  require(!c.block_lengths.empty(), "`block_lengths` must not be empty");
  for (int64_t length : c.block_lengths) require_count("block_lengths", length, kMaxLength);
  require_fraction("whole_block_share", c.whole_block_share);
  require_fraction("answer_block_share", c.answer_block_share);
  require_fraction("self_conditioning", c.self_conditioning);
  require_fraction("time_freeze", c.time_freeze);
}

/// How often things are done, and how many are kept.
void check_counts(const TrainConfig& c) {
  require_count("time_every", c.time_every);
  require_count("validate_every", c.validate_every);
  require_count("validation_sequences", c.validation_sequences);
  require_count("checkpoint_every", c.checkpoint_every);
  require_count("keep_checkpoints", c.keep_checkpoints);
  require_count("log_every", c.log_every);
  require(c.sample_every >= 0, "`sample_every` must not be negative");
}

}  // namespace

ops::HeadLosses::CodeGradient TrainConfig::code_gradient_kind() const {
  if (code_gradient == "ce") return ops::HeadLosses::CodeGradient::kCrossEntropy;
  if (code_gradient == "mse") return ops::HeadLosses::CodeGradient::kSquaredError;
  return ops::HeadLosses::CodeGradient::kNone;
}

comm::Wire TrainConfig::wire_format() const {
  return wire == "bf16" ? comm::Wire::kBF16 : comm::Wire::kF32;
}

int64_t good_ahead_size(int64_t hidden_size) {
  constexpr int64_t kLargest = 1024;
  return std::max<int64_t>(4, std::min(hidden_size, kLargest) / 4 * 4);
}

RunConfig RunConfig::preset(const std::string& name) {
  RunConfig config;
  static_cast<model::ModelConfig&>(config) = model::ModelConfig::preset(name);
  // 8b fills 80 GB to the last one: `evo adapt --recipe drafts` can give it the field afterwards.
  if (name != "8b") config.ahead_size = good_ahead_size(config.hidden_size);
  if (name == "demo") {
    config.learning_rate = 4e-3;
    return config;
  }
  config.sequence_length = 256;
  config.learning_rate = config.hidden_size <= 256 ? 2e-3 : config.hidden_size <= 512 ? 1e-3 : 6e-4;
  if (config.hidden_size >= 2048) {
    config.sequence_length = std::min<int64_t>(2048, config.max_position_embeddings / 2);
    config.learning_rate = 3e-4;
  }
  return config;
}

void RunConfig::validate(int ranks) const {
  model::ModelConfig::validate();
  if (experts.count > 0) {
    fail(
        "a mixture of experts ({}) cannot be trained or adapted, only run: expected a model "
        "without experts",
        family());
  }
  require(steps >= 0, "`steps` must not be negative");
  require(minutes >= 0 && minutes < 1e7, "`minutes` must be 0 to 10 million");
  require(steps > 0 || minutes > 0, "give `steps` or `minutes`");
  require(flow || ar_weight > 0, "with `ar_weight` 0 and without `flow` nothing is trained");
  require(flow || !freeze_backbone, "with `freeze_backbone` and without `flow` nothing is trained");
  require(flow || !freeze_flow, "with `freeze_flow` and without `flow` nothing is trained");
  require_count("batch_size", batch_size, 65536);
  require(micro_batch >= 0, "`micro_batch` must not be negative");
  require_count("gradient_accumulation", gradient_accumulation, 65536);
  require(sequence_length >= 2, "`sequence_length` must be at least 2");
  // Evolving rows reach one position further than mature ones.
  require(sequence_length < max_position_embeddings,
          "`sequence_length` must be below `max_position_embeddings`");
  require(validation_fraction > 0 && validation_fraction < 0.5,
          "`validation_fraction` must be above 0 and below 0.5");
  require_fraction("infill_share", infill_share);
  require(wire == "f32" || wire == "bf16", "`wire` must be f32 or bf16");
  if (batch_size % ranks != 0) {
    fail("`batch_size` {} cannot be divided among {} ranks: give a multiple of {}, or start others",
         batch_size, ranks, ranks);
  }
  check_optimizer(*this);
  check_flow(*this);
  check_counts(*this);
}

}  // namespace evo::train
