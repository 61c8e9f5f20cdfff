// evo info
#include <CLI/CLI.hpp>
#include <memory>

#include "base/terminal/progress.h"
#include "cli/hub/model_option.h"
#include "cli/program.h"
#include "json/record.h"
#include "model/kv_cache.h"
#include "model/layout.h"
#include "train/config.h"

namespace evo::cli {
namespace {

struct InfoFlags {
  std::string preset, model;
  bool json = false;
};

// Training keeps weight, gradient, two moments and the saved average in f32.
constexpr double kTrainingBytes = 5 * 4;

// A scale of 2 bytes for every 32 weights; of 4 bits a minimum besides, and not for tables of
// tokens.
constexpr double kQ8Bytes = 34.0 / 32;
constexpr double kQ4Bytes = 20.0 / 32;
double q4_bytes(const model::ModelConfig& config, double parameters) {
  const auto tables = static_cast<double>(
      model::count_parts(config)[static_cast<size_t>(model::NetworkPart::kEmbedding)]);
  return tables * kQ8Bytes + (parameters - tables) * kQ4Bytes;
}

void run_info(const InfoFlags& flags) {
  if (flags.preset.empty() == flags.model.empty())
    throw UsageError("give either a model folder or --preset NAME");
  const model::ModelConfig config = flags.model.empty() ? train::RunConfig::preset(flags.preset)
                                                        : model::ModelConfig::load(flags.model);
  const int64_t context = config.max_position_embeddings;
  const model::ModelCost cost = model::model_cost(config, context);
  const auto parameters = static_cast<double>(cost.parameters());
  const auto cache = [&](ops::CacheFormat format) {
    return static_cast<double>(model::KvPool::token_bytes(config, format)) *
           static_cast<double>(context);
  };
  if (flags.json) {
    json::Record record;
    record.set("backbone_parameters", cost.backbone_parameters)
        .set("flow_parameters", cost.flow_parameters);
    record.set("training_bytes", parameters * kTrainingBytes)
        .set("kv_cache_bytes", cache(ops::CacheFormat::kF32));
    record.set("kv_cache_bytes_bf16", cache(ops::CacheFormat::kBF16));
    record.set("kv_cache_bytes_q8", cache(ops::CacheFormat::kQ8));
    record.set("decode_bytes_f32", parameters * 4).set("decode_bytes_bf16", parameters * 2);
    record.set("decode_bytes_int8", parameters).set("decode_bytes_q8", parameters * kQ8Bytes);
    record.set("decode_bytes_q4", q4_bytes(config, parameters));
    record.set("decode_flops_per_token", cost.decode_flops_per_token);
    record.set("training_flops_per_token", cost.training_flops_per_token);
    record.set("context", context).set("family", config.family());
    fmt::print("{}\n", record.dump());
    return;
  }
  const auto line = [](const char* name, const std::string& value) {
    fmt::print("{:<34} {}\n", name, value);
  };
  line("parameters, backbone", format_count(static_cast<double>(cost.backbone_parameters)));
  line("parameters, flow", format_count(static_cast<double>(cost.flow_parameters)));
  line("backbone's family", config.family());
  line("shape",
       fmt::format("{} layers x {}, {} heads ({} key/value) of {}, feed-forward {}, vocabulary {}",
                   config.num_hidden_layers, config.hidden_size, config.num_attention_heads,
                   config.num_key_value_heads, config.head_dim, config.intermediate_size,
                   config.vocab_size));
  line("training, weights and optimizer",
       format_bytes(parameters * kTrainingBytes) + " (f32, without activations)");
  line("decoding, weights f32", format_bytes(parameters * 4));
  line("decoding, weights bf16", format_bytes(parameters * 2));
  line("decoding, weights q8", format_bytes(parameters * kQ8Bytes));
  line("decoding, weights q4", format_bytes(q4_bytes(config, parameters)));
  line("decoding, KV cache", fmt::format("{} for {} tokens; --kv-cache bf16 {}, q8 {}",
                                         format_bytes(cache(ops::CacheFormat::kF32)), context,
                                         format_bytes(cache(ops::CacheFormat::kBF16)),
                                         format_bytes(cache(ops::CacheFormat::kQ8))));
  line("FLOPs per token, decoding", format_count(cost.decode_flops_per_token));
  line("FLOPs per token, training",
       format_count(cost.training_flops_per_token) + " (both streams)");
}

}  // namespace

void add_info_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<InfoFlags>();
  CLI::App* command = app.add_subcommand("info", "What a model needs: parameters, memory, FLOPs");
  takes_model(command->add_option("model", flags->model, kModelHelp));
  command->add_option("--preset", flags->preset, "demo, 7m, 15m, 30m, 110m, 124m, 1b or 8b");
  command->add_flag("--json", flags->json, "print one JSON object on stdout");
  command->callback([flags, &action] { action = [flags] { run_info(*flags); }; });
}

}  // namespace evo::cli
