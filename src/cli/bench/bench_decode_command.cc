// evo bench decode
#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/terminal/progress.h"
#include "base/threads/parallel.h"
#include "cli/bench/bench_decode.h"
#include "cli/bench/bench_lengths.h"
#include "cli/bench/bench_prompts.h"
#include "cli/bench/llama_peer.h"
#include "cli/hub/model_option.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "decode/loaded_model.h"
#include "ops/machine.h"
#include "train/config.h"

namespace evo::cli {
namespace {

constexpr const char* kInProcess = "--in-process";
constexpr const char* kFirst = "--first";
constexpr const char* kCosts = "--costs";

struct BenchDecodeFlags {
  std::string model, random, prompts, precision = "auto", llama_bench, llama_model;
  std::string kv_cache = kDefaultKvCache;
  std::vector<double> balances = {0.5};
  std::vector<int64_t> batches = {1, 8};
  int64_t limit = 24;
  DecodeBenchOptions options;
  LengthsBench lengths{{}, {"f32", "bf16", "int8"}, {}, {}, {"cold", "known", "warm"}};
  std::optional<LengthsWork> in_process;
  int threads = 0;
  bool json = false;
};

/// No file, nothing stored.
tensor::Precision packable(tensor::Precision precision) {
  return precision == tensor::Precision::kStored ? ops::best_precision() : precision;
}

/// A model of which only the speed means anything.
model::Model random_model(const BenchDecodeFlags& flags, tensor::Precision precision) {
  model::Model model(train::RunConfig::preset(flags.random), false);
  model.initialize(1);
  model.pack(packable(precision));
  model.set_cache_format(parse_cache_format(flags.kv_cache));
  return model;
}

std::vector<DecodeWay> ways_of(const BenchDecodeFlags& flags, const model::ModelConfig& config) {
  std::vector<DecodeWay> ways;
  for (int64_t batch : flags.batches) {
    ways.push_back({decode::Mode::kAr, 0, batch});
    if (config.flow) ways.push_back({decode::Mode::kExact, 0, batch});
  }
  if (!config.flow) return ways;
  for (double balance : flags.balances) ways.push_back({decode::Mode::kEvo, balance, 1});
  ways.push_back({decode::Mode::kDiffusion, 1, 1});
  return ways;
}

double ratio(int64_t a, int64_t b) {
  return b > 0 ? static_cast<double>(a) / static_cast<double>(b) : 0;
}

json::Record row_record(const DecodeBenchRow& row, tensor::Precision precision) {
  const DecodeTally& tally = row.tally;
  json::Record record;
  record.set("kind", row.kind).set("mode", decode::mode_name(row.way.mode));
  record.set("balance", row.way.balance).set("batch", row.way.batch);
  record.set("precision", decode::precision_name(precision));
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

model::ModelConfig config_of(const BenchDecodeFlags& flags) {
  if (!flags.random.empty()) return train::RunConfig::preset(flags.random);
  return model::ModelConfig::load(flags.model);
}

/// The table by length, each measurement in a process of its own.
void run_lengths(BenchDecodeFlags& flags) {
  constexpr int64_t kRoomForPrompt = 24;
  LengthsBench& bench = flags.lengths;
  const model::ModelConfig config = config_of(flags);
  if (!config.flow) {
    fail("{}: this model has no evolving stream, so that exact is ar: there is nothing to compare",
         flags.model);
  }
  const int64_t room = config.max_position_embeddings - kRoomForPrompt;
  std::erase_if(bench.lengths, [&](int64_t length) { return length > room; });
  if (bench.lengths.empty()) {
    throw UsageError(
        fmt::format("--lengths: expected some of at most {} tokens, which this "
                    "model's context holds behind a prompt",
                    room));
  }
  bench.batches = flags.batches;
  if (!flags.model.empty()) bench.words.push_back(flags.model);
  const auto pass_on = [&](const char* flag, const std::string& value) {
    if (!value.empty()) bench.words.insert(bench.words.end(), {flag, value});
  };
  pass_on("--random", flags.random);
  pass_on("--prompts", flags.prompts);
  pass_on("--kv-cache", flags.kv_cache);
  pass_on("--limit", std::to_string(flags.limit));
  pass_on("--temperature", fmt::format("{}", flags.options.temperature));
  pass_on("--seed", std::to_string(flags.options.seed));
  pass_on("--threads", std::to_string(threads()));
  const std::vector<LengthsRow> rows = bench_lengths(bench);
  if (flags.json) {
    fmt::print("{}\n", lengths_record(rows).set("threads", threads()).dump());
  } else {
    fmt::print("{}", lengths_table(rows));
  }
}

void run_in_process(const BenchDecodeFlags& flags, const model::Model& model,
                    tensor::Precision precision, const std::vector<DecodeBenchPrompt>& prompts) {
  LengthsWork work = *flags.in_process;
  work.batch = flags.batches.front();
  work.rounds = flags.lengths.rounds;
  fmt::print("{}\n", measure_lengths(model, precision, prompts, work, flags.options).dump());
}

void run_bench_decode(BenchDecodeFlags& flags) {
  use_threads(flags.threads);
  if (flags.model.empty() == flags.random.empty())
    throw UsageError("bench decode: expected a model folder or --random PRESET, one of them");
  if (!flags.lengths.lengths.empty()) return run_lengths(flags);
  const tensor::Precision asked = parse_precision(flags.precision);
  if (!flags.llama_model.empty() && !flags.random.empty()) {
    // Its shape is enough: the model itself may be larger than memory.
    return write_llama_model(flags.llama_model, train::RunConfig::preset(flags.random),
                             packable(asked));
  }
  std::optional<decode::LoadedModel> loaded;
  std::optional<model::Model> made;
  if (flags.random.empty()) {
    loaded.emplace(decode::load_model(flags.model, asked, parse_cache_format(flags.kv_cache)));
    // Texts of one length do not end before.
    if (!flags.in_process) flags.options.end = loaded->tokenizer.end_of_text();
  } else {
    made.emplace(random_model(flags, asked));
  }
  const model::Model& model = made ? *made : loaded->model;
  const tensor::Precision precision = model.precision();
  if (!flags.llama_model.empty()) {
    return write_llama_model(flags.llama_model, model.config(), precision);
  }
  const auto prompts = made ? random_prompts(model.config())
                            : read_prompts(flags.prompts, flags.limit, loaded->tokenizer);
  if (flags.in_process) return run_in_process(flags, model, precision, prompts);
  const decode::Decoder decoder =
      made ? decode::Decoder(model) : decode::Decoder(model, loaded->tokenizer);
  const DecodeLimits limits = measure_decode_limits(model, precision);
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
               limits.flops * 1e-9, threads(), decode::precision_name(precision));
    if (peer) {
      fmt::print("{}: {:.1f} tokens/s at the same shape, {}; ar is {:.2f} times that\n", peer->name,
                 peer->tokens_per_second, peer->type, plain / peer->tokens_per_second);
    }
    return;
  }
  std::vector<json::Record> records;
  for (const DecodeBenchRow& row : rows) records.push_back(row_record(row, precision));
  json::Record result;
  result.set("rows", records).set("threads", threads()).set("kv_cache", flags.kv_cache);
  result.set("weight_bytes", limits.weight_bytes);
  result.set("bytes_per_second", limits.bytes_per_second).set("flops", limits.flops);
  if (peer) {
    result.set("peer", peer->name).set("peer_type", peer->type);
    result.set("peer_tokens_per_second", peer->tokens_per_second);
    result.set("ratio_to_peer", plain / peer->tokens_per_second);
  }
  fmt::print("{}\n", result.dump());
}

void add_lengths_options(CLI::App& command, BenchDecodeFlags& flags) {
  LengthsBench& bench = flags.lengths;
  command
      .add_option("--lengths", bench.lengths,
                  "another table: exact against ar for texts of so many tokens, as in "
                  "16,60,256,1000, in rounds of both; for --batches, --precisions and --starts")
      ->delimiter(',')
      ->check(number(1, 100000));
  command.add_option("--precisions", bench.precisions, "of that table, separated by commas")
      ->delimiter(',')
      ->check(CLI::IsMember({"f32", "bf16", "int8", "q8", "q4"}))
      ->capture_default_str();
  command
      .add_option("--starts", bench.starts,
                  "of that table: cold, a process that has learnt nothing, known, one that begins "
                  "with what others learnt, warm, one that has decoded before")
      ->delimiter(',')
      ->check(CLI::IsMember({"cold", "known", "warm"}))
      ->capture_default_str();
  command.add_option("--rounds", bench.rounds, "of that table; the median counts")
      ->check(number(1, 1000))
      ->capture_default_str();
  // What the processes of that table are started as; not for people.
  const auto work = [&flags]() -> LengthsWork& {
    if (!flags.in_process) flags.in_process.emplace();
    return *flags.in_process;
  };
  const auto hidden = [&](const char* name, const std::function<void(const std::string&)>& take) {
    command.add_option_function(name, take)->group("");
  };
  hidden(kInProcess, [work](const std::string& modes) { work().modes = modes; });
  hidden(kCosts, [work](const std::string& folder) { work().costs = folder; });
  command.add_option_function<int64_t>(kFirst, [work](int64_t first) { work().first = first; })
      ->group("");
}

}  // namespace

void add_bench_decode_command(CLI::App& bench, Action& action) {
  const auto flags = std::make_shared<BenchDecodeFlags>();
  CLI::App* command = bench.add_subcommand(
      "decode", "Decoding in every mode, against this machine's limits and llama.cpp");
  takes_model(command->add_option("model", flags->model, kModelHelp));
  command->add_option("--random", flags->random, "a preset with random weights instead of a model");
  command->add_option("--prompts", flags->prompts,
                      "file with a prompt per line, or JSON lines with `prompt` and `kind`; "
                      "default: a few openings of stories");
  command->add_option("--limit", flags->limit, "prompts of the file at most")
      ->check(number(1, 100000))
      ->capture_default_str();
  command->add_option("--balances", flags->balances, "of mode evo, separated by commas")
      ->delimiter(',')
      ->check(number(0.0, 0.999))
      ->capture_default_str();
  command
      ->add_option("--batches", flags->batches,
                   "sequences per pass for ar and exact, separated by commas")
      ->delimiter(',')
      ->check(number(1, 256))
      ->capture_default_str();
  command->add_option("--max-tokens", flags->options.max_tokens, "tokens per text at most")
      ->check(number(1, 100000))
      ->capture_default_str();
  command->add_option("--temperature", flags->options.temperature, "0: greedy")
      ->check(number(0.0, decode::kMaxTemperature))
      ->capture_default_str();
  command->add_option("--seed", flags->options.seed, "seed")
      ->check(any_seed<uint64_t>())
      ->capture_default_str();
  command
      ->add_option("--window", flags->options.window,
                   "evolving tokens per pass; 0: as in `evo generate`, as many as pay")
      ->check(number(0, 1024))
      ->capture_default_str();
  command->add_option("--precision", flags->precision, kPrecisionHelp);
  command->add_option("--kv-cache", flags->kv_cache, kKvCacheHelp);
  command->add_option("--llama-bench", flags->llama_bench,
                      "command that runs llama.cpp's llama-bench, for the shell: measures it on "
                      "random weights of the same shape and precision");
  command->add_option("--llama-model", flags->llama_model,
                      "measure nothing: write that model of random weights to this file, .gguf, "
                      "for other programs of llama.cpp");
  command->add_option("--threads", flags->threads, kThreadsHelp);
  command->add_flag("--json", flags->json, "print one JSON object on stdout");
  add_lengths_options(*command, *flags);
  command->callback([flags, &action] { action = [flags] { run_bench_decode(*flags); }; });
}

}  // namespace evo::cli
