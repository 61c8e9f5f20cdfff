// evo eval likelihood
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <memory>

#include "base/process/watcher.h"
#include "cli/hub/model_option.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "data/data_files.h"
#include "decode/loaded_model.h"
#include "eval/likelihood.h"
#include "json/record.h"
#include "model/layout.h"
#include "ops/machine.h"
#include "train/examples/data.h"

namespace evo::cli {
namespace {

struct EvalFlags {
  std::string model, data, path = "ar", precision = "auto", kv_cache = kDefaultKvCache;
  eval::LikelihoodOptions options;
  int threads = 0;
  bool json = false;
};

/// Speed of scoring along the autoregressive path, whose work is known.
struct Speed {
  double tokens_per_second = 0;
  double peak_fraction = 0;  ///< of what large matrix products reach, in the same minute
};

Speed speed_of(const EvalFlags& flags, const model::Model& model, int64_t tokens, double seconds) {
  Speed speed{static_cast<double>(tokens) / seconds, 0};
  const int64_t keys = flags.options.context / 2;  // a token sees half of its window on average
  const double flops = model::model_cost(model.config(), keys).decode_flops_per_token;
  speed.peak_fraction =
      speed.tokens_per_second * flops / (1e9 * ops::measure_matmul_peak(model.precision(), 0.5));
  return speed;
}

void run_eval(EvalFlags& flags) {
  use_threads(flags.threads);
  try {
    flags.options.score.path = flow::parse_path(flags.path);
  } catch (const Error& error) {
    throw UsageError(fmt::format("--path: {}", error.what()));
  }
  const decode::LoadedModel loaded = decode::load_model(
      flags.model, parse_precision(flags.precision), parse_cache_format(flags.kv_cache));
  const int64_t longest = loaded.model.config().max_position_embeddings - 1;
  flags.options.context = std::min(flags.options.context, longest);
  train::CorpusOptions corpus;
  corpus.files = data::data_files({flags.data});
  corpus.quiet = flags.json;
  const std::vector<int32_t> tokens = train::encode_corpus(corpus, loaded.tokenizer);
  const auto total = static_cast<double>(
      flags.options.limit > 0 ? flags.options.limit : static_cast<int64_t>(tokens.size()));
  Progress progress("scoring", total, "tokens", flags.json);
  const auto start = std::chrono::steady_clock::now();
  const eval::LikelihoodResult result =
      eval::likelihood(loaded.model, loaded.tokenizer, tokens, flags.options, [&](int64_t done) {
        if (interrupted()) fail_interrupted("interrupted: a part of the text says too little");
        progress.update(static_cast<double>(done));
      });
  progress.finish();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const double perplexity = std::exp(result.nats_per_token);
  if (!flags.json) {
    fmt::print(
        "{} {}{:.4f} +- {:.4f} nats per token, {:.4f} bits per byte, perplexity {:.3f}, {} "
        "tokens{}\n",
        flags.path, result.bound ? "<= " : "", result.nats_per_token, result.standard_error,
        result.bits_per_byte, perplexity, result.tokens,
        result.bound ? " (an upper bound: the ELBO)" : " (exact)");
    return;
  }
  json::Record record;
  record.set("path", flags.path).set("nats_per_token", result.nats_per_token);
  record.set("bits_per_byte", result.bits_per_byte).set("perplexity", perplexity);
  record.set("stderr", result.standard_error);
  record.set("bound", result.bound).set("tokens", result.tokens);
  if (!result.bound) {
    const Speed speed = speed_of(flags, loaded.model, result.tokens, elapsed.count());
    record.set("tokens_per_second", speed.tokens_per_second);
    record.set("gemm_peak_fraction", speed.peak_fraction);
  }
  fmt::print("{}\n", record.dump());
}

}  // namespace

void add_eval_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<EvalFlags>();
  CLI::App* eval = app.add_subcommand("eval", "Measure a model");
  eval->require_subcommand(1);
  CLI::App* command =
      eval->add_subcommand("likelihood", "Nats per token and bits per byte of a text");
  takes_model(command->add_option("model", flags->model, kModelHelp))->required();
  command->add_option("--data", flags->data, "text file, or a folder of them")->required();
  command->add_option("--path", flags->path, "ar (exact), diagonal or block:K (upper bounds)")
      ->capture_default_str();
  command->add_option("--limit", flags->options.limit, "tokens at most; 0: all")
      ->check(number(int64_t{0}, kLargestCount));
  command->add_option("--context", flags->options.context, "tokens per window")
      ->check(number(1, 1 << 24))
      ->capture_default_str();
  command
      ->add_option("--samples", flags->options.score.time_samples, "ELBO: draws of times and noise")
      ->check(number(1, 100000))
      ->capture_default_str();
  command->add_option("--seed", flags->options.score.seed, "seed of times and noise")
      ->check(any_seed<uint64_t>())
      ->capture_default_str();
  command->add_option("--precision", flags->precision, kPrecisionHelp);
  command->add_option("--kv-cache", flags->kv_cache, kKvCacheHelp);
  command->add_option("--threads", flags->threads, kThreadsHelp);
  command->add_flag("--json", flags->json, "print one JSON object on stdout");
  command->callback([flags, &action] { action = [flags] { run_eval(*flags); }; });
  add_eval_tasks_command(*eval, action);
  add_eval_make_command(*eval, action);
  add_eval_report_command(*eval, action);
}

}  // namespace evo::cli
