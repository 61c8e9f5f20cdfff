// evo convert
#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/process/interrupt.h"
#include "base/terminal/progress.h"
#include "cli/common_options.h"
#include "cli/options.h"
#include "cli/program.h"
#include "decode/loaded_model.h"
#include "files/files.h"
#include "model/sources/weight_source.h"

namespace evo::cli {
namespace {

namespace fs = std::filesystem;

struct ConvertFlags {
  std::string source, out, tokenizer, to = "evo", weights = "bf16";
};

// What goes with the weights as it is, where it is there.
constexpr std::array kTokenizerFiles = {"tokenizer.json",    "tokenizer.model",
                                        "vocab.json",        "merges.txt",
                                        "added_tokens.json", "special_tokens_map.json"};
constexpr std::array kOtherFiles = {"generation_config.json", "tokenizer_config.json",
                                    "chat_template.jinja"};

model::WeightSource open_source(const ConvertFlags& flags) {
  const fs::path path(flags.source);
  if (fs::is_directory(path)) return model::folder_source(path, flags.to == "hf");
  if (!fs::exists(path)) {
    fail("{}: expected a model folder or a llama2.c checkpoint, found nothing", flags.source);
  }
  if (flags.tokenizer.empty()) {
    throw UsageError(fmt::format(
        "{}: a llama2.c checkpoint comes without its tokenizer: name it with --tokenizer FILE",
        flags.source));
  }
  return model::llama2c_source(path);
}

/// What the checkpoint says of special tokens, and which tokenizer belongs to it.
json::Record new_generation_config(const model::ModelConfig& config,
                                   const tokenizer::Tokenizer& tokenizer) {
  json::Record record = decode::generation_config(tokenizer);
  if (config.bos_token_id >= 0) record.set("bos_token_id", config.bos_token_id);
  if (!config.eos_token_ids.empty()) record.set("eos_token_id", config.eos_token_ids);
  return record;
}

double megabytes(const weights::ArrayToWrite& array) {
  double size = sizeof(float) * 1e-6;
  for (const int64_t extent : array.shape) size *= static_cast<double>(extent);
  return size;
}

/// Writes the folder and shows how much of the weights was read.
void write_weights(const ConvertFlags& flags, model::WeightSource source) {
  double total = 0;
  for (const weights::ArrayToWrite& array : source.arrays) total += megabytes(array);
  Progress progress("converting", total, "MB");
  double done = 0;
  for (weights::ArrayToWrite& array : source.arrays) {
    array.make = [&, make = std::move(array.make), size = megabytes(array)](std::span<float> out) {
      if (interrupted()) fail_interrupted("interrupted: nothing was converted");
      make(out);
      progress.update(done += size);
    };
  }
  model::write_model_folder(flags.out, std::move(source), flags.weights == "bf16" ? "BF16" : "F32");
}

std::optional<tokenizer::Tokenizer> load_tokenizer(const ConvertFlags& flags,
                                                   const model::ModelConfig& config) {
  if (flags.tokenizer.empty()) return {};
  tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(flags.tokenizer);
  if (tokenizer.ordinary_size() > config.vocab_size) {
    fail("{}: the tokenizer has {} tokens, but the model only {}: they do not belong together",
         flags.tokenizer, tokenizer.ordinary_size(), config.vocab_size);
  }
  return tokenizer;
}

void run_convert(const ConvertFlags& flags) {
  if (fs::exists(flags.out) && (!fs::is_directory(flags.out) || !fs::is_empty(flags.out))) {
    fail("{}: expected a new or empty folder to write to, found something in it", flags.out);
  }
  model::WeightSource source = open_source(flags);
  const model::ModelConfig config = source.config;
  const std::optional<tokenizer::Tokenizer> tokenizer = load_tokenizer(flags, config);
  write_weights(flags, std::move(source));
  files::copy_files(flags.source, flags.out, kOtherFiles);
  if (tokenizer) {
    tokenizer->save(fs::path(flags.out) / "tokenizer.json");
    new_generation_config(config, *tokenizer).save(fs::path(flags.out) / "generation_config.json");
  } else {
    files::copy_files(flags.source, flags.out, kTokenizerFiles);
  }
  const auto bytes = fs::file_size(fs::path(flags.out) / "model.safetensors");
  log_info("{}: a {} with weights in {}, {}", flags.out, config.family(), flags.weights,
           format_bytes(static_cast<double>(bytes)));
}

}  // namespace

void add_convert_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<ConvertFlags>();
  CLI::App* command =
      app.add_subcommand("convert", "Write a model of another program, or ours, as a model folder");
  command
      ->add_option("source", flags->source,
                   "model folder, ours or Hugging Face's, or a llama2.c .bin")
      ->required();
  command->add_option("--out", flags->out, "folder to write, new or empty")->required();
  command->add_option("--tokenizer", flags->tokenizer,
                      "tokenizer file, if the source has none or another is wanted");
  command
      ->add_option("--to", flags->to,
                   "evo: all of the model, which other programs open as its backbone; hf: the "
                   "backbone alone")
      ->check(one_of({"evo", "hf"}))
      ->capture_default_str();
  command->add_option("--weights", flags->weights, "bf16: half the size; f32")
      ->check(one_of({"bf16", "f32"}))
      ->capture_default_str();
  command->callback([flags, &action] { action = [flags] { run_convert(*flags); }; });
}

}  // namespace evo::cli
