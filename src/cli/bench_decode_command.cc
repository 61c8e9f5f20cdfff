// evo bench decode
#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "cli/bench_decode.h"
#include "cli/llama_peer.h"
#include "cli/options.h"
#include "cli/program.h"
#include "decode/generate.h"

namespace evo {
namespace {

constexpr int64_t kRandomPrompts = 4, kRandomPromptTokens = 16;

struct Flags {
  std::string model, random, prompts, precision = "auto", llama_bench, llama_model;
  std::vector<double> balances = {0.5};
  std::vector<int64_t> batches = {1, 8};
  int64_t limit = 24;
  DecodeBenchOptions options;
  int threads = 0;
  bool json = false;
};

/// A model of which only the speed means anything.
Model random_model(const Flags& flags, Precision precision) {
  Model model(ModelConfig::preset(flags.random), false);
  model.initialize(1);
  model.pack(precision);
  return model;
}

std::vector<DecodeBenchPrompt> random_prompts(const ModelConfig& config) {
  std::vector<DecodeBenchPrompt> prompts;
  for (int64_t i = 0; i < kRandomPrompts; ++i) {
    Random random(static_cast<uint64_t>(i));
    DecodeBenchPrompt prompt{"random", {}};
    for (int64_t t = 0; t < kRandomPromptTokens; ++t) {
      const auto vocabulary = static_cast<uint64_t>(config.vocab_size);
      prompt.tokens.push_back(static_cast<int32_t>(random.below(vocabulary)));
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

constexpr const char* kOpenings[] = {
    "Once upon a time, there was a little girl named Lily.",
    "One day, a dog and a cat went to the park.",
    "Tom and Sam were good friends. They liked to",
    "The king was very old, and he had three sons.",
    "It was a cold morning in winter, and the snow",
    "\"What is this?\" asked the boy. His mother",
    "In a small village by the sea there lived a fisherman",
    "When the sun went down, the children",
};

/// JSON lines with `prompt` and perhaps `kind`, or plain lines.
std::vector<DecodeBenchPrompt> read_prompts(const Flags& flags, const Tokenizer& tokenizer) {
  std::vector<DecodeBenchPrompt> prompts;
  const auto add = [&](const std::string& kind, std::string_view text) {
    prompts.push_back({kind, text_prompt(tokenizer, text).tokens});
  };
  if (flags.prompts.empty()) {
    for (const char* opening : kOpenings) add("stories", opening);
    return prompts;
  }
  std::ifstream file(flags.prompts);
  if (!file) fail("{}: cannot be read: expected a file with a prompt per line", flags.prompts);
  std::string line;
  for (int64_t number = 1; std::ssize(prompts) < flags.limit && std::getline(file, line);
       ++number) {
    if (line.empty()) continue;
    if (line.front() != '{') {
      add("prompts", line);
      continue;
    }
    const Record record = Record::parse(line, fmt::format("{}:{}", flags.prompts, number));
    add(record.has("kind") ? record.get_string("kind") : "prompts", record.get_string("prompt"));
  }
  if (prompts.empty()) fail("{}: no prompts in it: expected one per line", flags.prompts);
  return prompts;
}

std::vector<DecodeWay> ways_of(const Flags& flags, const ModelConfig& config) {
  std::vector<DecodeWay> ways;
  for (int64_t batch : flags.batches) {
    ways.push_back({Mode::kAr, 0, batch});
    if (config.flow) ways.push_back({Mode::kExact, 0, batch});
  }
  if (!config.flow) return ways;
  for (double balance : flags.balances) ways.push_back({Mode::kEvo, balance, 1});
  ways.push_back({Mode::kDiffusion, 1, 1});
  return ways;
}

double ratio(int64_t a, int64_t b) {
  return b > 0 ? static_cast<double>(a) / static_cast<double>(b) : 0;
}

Record row_record(const DecodeBenchRow& row, Precision precision) {
  const DecodeTally& tally = row.tally;
  Record record;
  record.set("kind", row.kind).set("mode", mode_name(row.way.mode));
  record.set("balance", row.way.balance).set("batch", row.way.batch);
  record.set("precision", precision_name(precision));
  record.set("tokens_per_second", tally.tokens_per_second());
  record.set("tokens_per_forward", ratio(tally.tokens, tally.passes));
  record.set("acceptance_length", ratio(tally.accepted, tally.drafting_passes));
  record.set("ratio_to_ar", row.ratio_to_ar);
  record.set("limit_fraction", tally.least_seconds / tally.seconds);
  record.set("rows_per_forward", ratio(tally.rows, tally.passes));
  record.set("texts", tally.texts).set("texts_equal_to_ar", tally.equal_texts);
  record.set("tokens", tally.tokens);
  record.set("ar_nats_per_token", tally.nats / static_cast<double>(tally.tokens));
  record.set("token_entropy", tally.token_entropy());
  return record;
}

void print_table(const std::vector<DecodeBenchRow>& rows) {
  fmt::print("{:<14} {:<14} {:>9} {:>6} {:>9} {:>9} {:>6} {:>8} {:>8} {:>8}\n", "prompts", "mode",
             "tokens/s", "x ar", "tok/pass", "accepted", "limit", "= ar", "AR nats", "entropy");
  for (const DecodeBenchRow& row : rows) {
    const DecodeTally& tally = row.tally;
    fmt::print(
        "{:<14} {:<14} {:>9.1f} {:>6.2f} {:>9.2f} {:>9.2f} {:>5.0f}% {:>8} {:>8.3f} {:>8.2f}\n",
        row.kind, row.way.name(), tally.tokens_per_second(), row.ratio_to_ar,
        ratio(tally.tokens, tally.passes), ratio(tally.accepted, tally.drafting_passes),
        100 * tally.least_seconds / tally.seconds,
        fmt::format("{}/{}", tally.equal_texts, tally.texts),
        tally.nats / static_cast<double>(tally.tokens), tally.token_entropy());
  }
}

void run(Flags& flags) {
  use_threads(flags.threads);
  if (flags.model.empty() == flags.random.empty())
    throw UsageError("bench decode: expected a model folder or --random PRESET, one of them");
  const Precision precision = parse_precision(flags.precision);
  std::optional<LoadedModel> loaded;
  std::optional<Model> made;
  if (flags.random.empty()) {
    loaded.emplace(load_model(flags.model, precision));
    flags.options.end = loaded->tokenizer.end_of_text();
  } else {
    made.emplace(random_model(flags, precision));
  }
  const Model& model = made ? *made : loaded->model;
  if (!flags.llama_model.empty()) {
    return write_llama_model(flags.llama_model, model.config(), precision);
  }
  const Decoder decoder(model);
  const DecodeLimits limits = measure_decode_limits(model, precision);
  const auto prompts =
      made ? random_prompts(model.config()) : read_prompts(flags, loaded->tokenizer);
  const auto rows =
      bench_decode(decoder, limits, prompts, ways_of(flags, model.config()), flags.options);

  std::optional<LlamaResult> peer;
  if (!flags.llama_bench.empty()) {
    peer = run_llama_bench(flags.llama_bench, model.config(), precision, threads(),
                           flags.options.max_tokens);
  }
  const double plain = rows.front().tally.tokens_per_second();
  if (!flags.json) {
    print_table(rows);
    fmt::print("limits: weights {} read at {}/s, products {:.0f} GFLOP/s, {} threads, {}\n",
               format_bytes(limits.weight_bytes), format_bytes(limits.bytes_per_second),
               limits.flops * 1e-9, threads(), precision_name(precision));
    if (peer) {
      fmt::print("{}: {:.1f} tokens/s at the same shape, {}; ar is {:.2f} times that\n", peer->name,
                 peer->tokens_per_second, peer->type, plain / peer->tokens_per_second);
    }
    return;
  }
  std::vector<Record> records;
  for (const DecodeBenchRow& row : rows) records.push_back(row_record(row, precision));
  Record result;
  result.set("rows", records).set("threads", threads());
  result.set("weight_bytes", limits.weight_bytes);
  result.set("bytes_per_second", limits.bytes_per_second).set("flops", limits.flops);
  if (peer) {
    result.set("peer", peer->name).set("peer_type", peer->type);
    result.set("peer_tokens_per_second", peer->tokens_per_second);
    result.set("ratio_to_peer", plain / peer->tokens_per_second);
  }
  fmt::print("{}\n", result.dump());
}

}  // namespace

void add_bench_decode_command(CLI::App& bench, Action& action) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* command = bench.add_subcommand(
      "decode", "Decoding in every mode, against this machine's limits and llama.cpp");
  command->add_option("model", flags->model, "model folder");
  command->add_option("--random", flags->random, "a preset with random weights instead of a model");
  command->add_option("--prompts", flags->prompts,
                      "file with a prompt per line, or JSON lines with `prompt` and `kind`; "
                      "default: a few openings of stories");
  command->add_option("--limit", flags->limit, "prompts of the file at most")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--balances", flags->balances, "of mode evo, separated by commas")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 0.999))
      ->capture_default_str();
  command
      ->add_option("--batches", flags->batches,
                   "sequences per pass for ar and exact, separated by commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("--max-tokens", flags->options.max_tokens, "tokens per text at most")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--temperature", flags->options.temperature, "0: greedy")
      ->capture_default_str();
  command->add_option("--seed", flags->options.seed, "seed")->capture_default_str();
  command
      ->add_option("--window", flags->options.window,
                   "evolving tokens per pass; 0: as in `evo generate`, as many as pay")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--precision", flags->precision, "auto, f32, bf16 or int8");
  command->add_option("--llama-bench", flags->llama_bench,
                      "command that runs llama.cpp's llama-bench, for the shell: measures it on "
                      "random weights of the same shape and precision");
  command->add_option("--llama-model", flags->llama_model,
                      "measure nothing: write that model of random weights to this file, .gguf, "
                      "for other programs of llama.cpp");
  command->add_option("--threads", flags->threads, kThreadsHelp);
  command->add_flag("--json", flags->json, "print one JSON object on stdout");
  command->callback([flags, &action] { action = [flags] { run(*flags); }; });
}

}  // namespace evo
