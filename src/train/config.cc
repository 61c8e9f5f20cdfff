#include "train/config.h"

#include <algorithm>

namespace evo {
namespace {

void require(bool holds, const char* rule) {
  if (!holds) fail("impossible training run: {}. Correct the configuration.", rule);
}

bool is_fraction(double value) {
  return value >= 0 && value <= 1;
}

}  // namespace

HeadLosses::CodeGradient TrainConfig::code_gradient_kind() const {
  if (code_gradient == "ce") return HeadLosses::CodeGradient::kCrossEntropy;
  if (code_gradient == "mse") return HeadLosses::CodeGradient::kSquaredError;
  return HeadLosses::CodeGradient::kNone;
}

RunConfig RunConfig::preset(const std::string& name) {
  RunConfig config;
  static_cast<ModelConfig&>(config) = ModelConfig::preset(name);
  if (name == "demo") {
    config.learning_rate = 4e-3;
    return config;
  }
  config.sequence_length = 256;
  config.learning_rate = config.hidden_size <= 256 ? 2e-3 : config.hidden_size <= 512 ? 1e-3 : 6e-4;
  if (config.hidden_size >= 2048) {
    config.sequence_length = 2048;
    config.learning_rate = 3e-4;
  }
  return config;
}

void RunConfig::validate() const {
  ModelConfig::validate();
  require(steps > 0 || minutes > 0, "give `steps` or `minutes`");
  require(steps >= 0 && minutes >= 0 && minutes < 1e7,
          "`steps` and `minutes` must not be negative");
  require(batch_size >= 1 && batch_size <= 65536, "`batch_size` must be 1 to 65536");
  require(gradient_accumulation >= 1, "`gradient_accumulation` must be at least 1");
  require(sequence_length >= 2, "`sequence_length` must be at least 2");
  // Evolving rows reach one position further than mature ones.
  require(sequence_length < max_position_embeddings,
          "`sequence_length` must be below `max_position_embeddings`");
  require(learning_rate > 0 && learning_rate < 1, "`learning_rate` must be between 0 and 1");
  require(is_fraction(final_learning_rate), "`final_learning_rate` must be 0 to 1");
  require(is_fraction(warmup), "`warmup` must be 0 to 1");
  require(weight_decay >= 0 && weight_decay < 10, "`weight_decay` must be 0 to 10");
  require(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, "`beta1`, `beta2` must be in [0, 1)");
  require(clip >= 0, "`clip` must not be negative");
  require(average_decay >= 0 && average_decay < 1, "`average_decay` must be in [0, 1)");
  require(flow_weight >= 0 && inner_weight >= 0 && maturity_weight >= 0,
          "loss weights must not be negative");
  require(code_gradient == "ce" || code_gradient == "mse" || code_gradient == "pca",
          "`code_gradient` must be ce, mse or pca");
  require(code_gradient != "pca" || code_size <= hidden_size,
          "`code_gradient` pca needs `code_size` of at most `hidden_size`");
  require(time_sampler == "mixed" || time_sampler == "uniform",
          "`time_sampler` must be mixed or uniform");
  require(!block_lengths.empty() &&
              std::ranges::all_of(block_lengths, [](int64_t b) { return b >= 1; }),
          "`block_lengths` must be a list of positive numbers");
  require(
      is_fraction(whole_block_share) && is_fraction(self_conditioning) && is_fraction(time_freeze),
      "`whole_block_share`, `self_conditioning` and `time_freeze` must be 0 to 1");
  require(validation_fraction > 0 && validation_fraction < 0.5,
          "`validation_fraction` must be above 0 and below 0.5");
  require(time_every >= 1 && validate_every >= 1 && validation_sequences >= 1 &&
              checkpoint_every >= 1 && keep_checkpoints >= 1 && log_every >= 1 && sample_every >= 0,
          "intervals and counts must be at least 1");
}

}  // namespace evo
