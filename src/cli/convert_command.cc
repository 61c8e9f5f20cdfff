// evo convert
#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/process/watcher.h"
#include "base/terminal/progress.h"
#include "chat/chat_template.h"
#include "cli/common_options.h"
#include "cli/hub/model_option.h"
#include "cli/options.h"
#include "cli/program.h"
#include "decode/gguf_export.h"
#include "decode/loaded_model.h"
#include "decode/sampling/generation_defaults.h"
#include "model/sources/weight_source.h"
#include "weights/companion_files.h"
#include "weights/gguf/gguf_file.h"
#include "weights/model_documents.h"

namespace evo::cli {
namespace {

namespace fs = std::filesystem;

struct ConvertFlags {
  std::string source, out, tokenizer, to = "evo", weights = "bf16", quantize;
};

// What another tokenizer takes the place of.
constexpr std::array kTokenizerFiles = {"tokenizer.json",    "tokenizer.model",
                                        "vocab.json",        "merges.txt",
                                        "added_tokens.json", "special_tokens_map.json"};

// As both kinds of files call them.
const std::map<std::string, const char*> kFormats = {{"bf16", "BF16"}, {"f32", "F32"},
                                                     {"f16", "F16"},   {"q8_0", "Q8_0"},
                                                     {"q4_1", "Q4_1"}, {"q4_k", "Q4_K"}};
// What --quantize calls them.
const std::map<std::string, std::string> kQuantized = {
    {"q8", "q8_0"}, {"q4", "q4_1"}, {"q4k", "q4_k"}};

model::WeightSource open_source(const ConvertFlags& flags) {
  const fs::path path(flags.source);
  if (fs::is_directory(path) || weights::is_gguf(path))
    return model::folder_source(path, flags.to != "evo");
  if (!fs::exists(path)) {
    fail("{}: expected a model folder, a GGUF file or a llama2.c checkpoint, found nothing",
         flags.source);
  }
  if (flags.tokenizer.empty()) {
    throw UsageError(fmt::format(
        "{}: a llama2.c checkpoint comes without its tokenizer: name it with --tokenizer FILE",
        flags.source));
  }
  return model::llama2c_source(path);
}

double megabytes(const weights::ArrayToWrite& array) {
  double size = sizeof(float) * 1e-6;
  for (const int64_t extent : array.shape) size *= static_cast<double>(extent);
  return size;
}

/// Calls `write` with the weights, and shows how much of them was read.
template <class Write>
void write_weights(model::WeightSource source, const Write& write) {
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
  write(std::move(source));
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

/// GGUF: one file with all that belongs to the model.
void convert_to_file(const ConvertFlags& flags) {
  if (fs::exists(flags.out)) fail("{}: expected a new file to write, found one", flags.out);
  model::WeightSource source = open_source(flags);
  const model::ModelConfig config = source.config;
  std::optional<tokenizer::Tokenizer> tokenizer = load_tokenizer(flags, config);
  if (!tokenizer) tokenizer = tokenizer::Tokenizer::load(flags.source);
  const std::string family = config.family();
  const weights::ModelDocuments documents(flags.source);
  write_weights(std::move(source), [&](model::WeightSource weights) {
    decode::write_gguf(
        flags.out,
        {.source = std::move(weights),
         .tokenizer = *tokenizer,
         .chat_template = chat::ChatTemplate::text_of(flags.source).value_or(""),
         .generation_config = documents.record(decode::kGenerationConfig).value_or(json::Record()),
         .name = fs::path(flags.out).stem().string(),
         .format = kFormats.at(flags.weights)});
  });
  log_info("{}: a {} with weights in {}, {}", flags.out, family, flags.weights,
           format_bytes(static_cast<double>(fs::file_size(flags.out))));
}

void convert_to_folder(const ConvertFlags& flags) {
  if (fs::exists(flags.out) && (!fs::is_directory(flags.out) || !fs::is_empty(flags.out))) {
    fail("{}: expected a new or empty folder to write to, found something in it", flags.out);
  }
  model::WeightSource source = open_source(flags);
  const model::ModelConfig config = source.config;
  std::optional<tokenizer::Tokenizer> tokenizer = load_tokenizer(flags, config);
  write_weights(std::move(source), [&](model::WeightSource weights) {
    model::write_model_folder(flags.out, std::move(weights), kFormats.at(flags.weights));
  });
  const bool is_model = fs::is_directory(flags.source) || weights::is_gguf(flags.source);
  if (is_model && tokenizer) {
    weights::copy_companion_files(flags.source, flags.out, kTokenizerFiles);
  } else if (is_model) {
    weights::copy_companion_files(flags.source, flags.out);
  }
  if (tokenizer) {
    tokenizer->save(fs::path(flags.out) / "tokenizer.json");
    decode::generation_config(*tokenizer, config, decode::load_generation_config(flags.source))
        .save(fs::path(flags.out) / decode::kGenerationConfig);
  } else if (weights::is_gguf(flags.source)) {
    tokenizer::Tokenizer::load(flags.source).save(fs::path(flags.out) / "tokenizer.json");
  }
  const auto bytes = fs::file_size(fs::path(flags.out) / "model.safetensors");
  log_info("{}: a {} with weights in {}, {}", flags.out, config.family(), flags.weights,
           format_bytes(static_cast<double>(bytes)));
}

void run_convert(ConvertFlags& flags) {
  if (!flags.quantize.empty()) {
    flags.to = "gguf";
    flags.weights = kQuantized.at(flags.quantize);
  }
  if (flags.to == "gguf") return convert_to_file(flags);
  if (flags.weights != "bf16" && flags.weights != "f32") {
    throw UsageError(fmt::format("--weights {}: a folder's are bf16 or f32; {} goes with --to gguf",
                                 flags.weights, flags.weights));
  }
  convert_to_folder(flags);
}

}  // namespace

void add_convert_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<ConvertFlags>();
  CLI::App* command =
      app.add_subcommand("convert", "Write a model of another program, or ours, as a model folder");
  takes_model(command->add_option("source", flags->source,
                                  fmt::format("{}, or a llama2.c .bin", kModelHelp)))
      ->required();
  command->add_option("--out", flags->out, "folder to write, new or empty; with --to gguf a file")
      ->required();
  takes_model(command->add_option("--tokenizer", flags->tokenizer,
                                  "tokenizer file, if the source has none or another is wanted"));
  CLI::Option* const to =
      command
          ->add_option("--to", flags->to,
                       "evo: all of the model, which other programs open as its backbone; hf: the "
                       "backbone alone; gguf: the same as one file for llama.cpp")
          ->check(one_of({"evo", "hf", "gguf"}))
          ->capture_default_str();
  CLI::Option* const weights =
      command
          ->add_option(
              "--weights", flags->weights,
              "of matrices; bf16: half the size; f32; with --to gguf also f16, q8_0, q4_1 and "
              "q4_k")
          ->check(one_of({"bf16", "f32", "f16", "q8_0", "q4_1", "q4_k"}))
          ->capture_default_str();
  command
      ->add_option(
          "--quantize", flags->quantize,
          "write one GGUF file in few bits, which is computed as it is stored: q8 (8.5 bits "
          "a weight), q4 (5, tables of tokens 8.5) or q4k (4.5); the same as --to gguf "
          "--weights q8_0, q4_1, q4_k")
      ->check(one_of({"q8", "q4", "q4k"}))
      ->excludes(to)
      ->excludes(weights);
  command->callback([flags, &action] { action = [flags] { run_convert(*flags); }; });
}

}  // namespace evo::cli
