#include "cli/tokenizer_shard.h"
#include "cli/hub/model_option.h"
#include "cli/number_range.h"

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "base/log.h"
#include "base/terminal/progress.h"
#include "cli/options.h"
#include "data/data_files.h"
#include "train/examples/data_shards.h"

namespace evo::cli {
namespace {

struct TokenizerShardFlags {
  std::string tokenizer, out;
  train::CorpusOptions corpus;
  int64_t shard_tokens = 100'000'000;
  int threads = 0;
  bool json = false;
};

void check(const TokenizerShardFlags& flags) {
  if (flags.out.empty()) throw UsageError("--out: expected a folder, found an empty name");
  if (!(flags.corpus.held_out >= 0 && flags.corpus.held_out < 1)) {
    throw UsageError(fmt::format("--held-out: expected a share from 0 to below 1, found {}",
                                 flags.corpus.held_out));
  }
}

void shard(TokenizerShardFlags& flags) {
  check(flags);
  use_threads(flags.threads);
  if (flags.corpus.quiet) set_log_level(LogLevel::kQuiet);
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(flags.tokenizer);
  flags.corpus.files = data::data_files(flags.corpus.files);
  flags.corpus.chat_format = train::chat_format_beside(flags.tokenizer);
  const train::ShardingSummary summary =
      train::make_shards(flags.corpus, tokenizer, flags.out, flags.shard_tokens);
  const data::ShardIndex& index = summary.index;
  if (flags.json) {
    json::Record record;
    record.set("shards", index.shards.size()).set("kept", summary.kept);
    record.set("tokens", index.tokens()).set("documents", index.documents());
    fmt::print("{}\n", record.dump());
    return;
  }
  log_info("{}: {} shards ({} were there already), {} tokens of {} documents. Train with --data {}",
           flags.out, index.shards.size(), summary.kept,
           format_count(static_cast<double>(index.tokens())), index.documents(), flags.out);
}

}  // namespace

void add_tokenizer_shard_command(CLI::App& tokenizer, Action& action) {
  const auto flags = std::make_shared<TokenizerShardFlags>();
  CLI::App* command =
      tokenizer.add_subcommand("shard", "Encode a large corpus once, for many training runs");
  takes_model(
      command->add_option("tokenizer", flags->tokenizer,
                          "tokenizer file, or a model, whose chat template conversations get"))
      ->required();
  command
      ->add_option("--data", flags->corpus.files,
                   "text files, where documents end at lines <|endoftext|>, or .jsonl; compressed "
                   "ones (.xz, .zst, .gz) too; or folders of such files")
      ->required();
  command->add_option("--out", flags->out, "folder for shards and index.json")->required();
  const std::map<std::string, int64_t> units = {
      {"K", 1'000}, {"M", 1'000'000}, {"G", 1'000'000'000}};
  command
      ->add_option(
          "--shard-tokens", flags->shard_tokens,
          "tokens per shard: 500K, 100M, 1G; each takes 2 bytes, or 4 if the vocabulary has "
          "more than 65536")
      ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_INSENSITIVE))
      ->check(number(int64_t{1}, kLargestCount))
      ->default_str("100M");
  command
      ->add_option("--held-out", flags->corpus.held_out,
                   "share of the documents to validate on; `validation_fraction` of the training")
      ->check(number(0.0, 1.0))
      ->default_val(0.03);
  command->add_option("--text-field", flags->corpus.text_field, "where .jsonl has its texts")
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "threads; default: all");
  command->add_flag("--quiet", flags->corpus.quiet, "no progress");
  command->add_flag("--json", flags->json, "print a JSON summary on stdout");
  command->footer(
      "The folder holds shards, each with a checksum, and the tokenizer. One folder is one source: "
      "give each its own, and mix them when training:\n"
      "  evo tokenizer shard tokenizer.json --data web/*.jsonl.zst --out shards/web\n"
      "  evo tokenizer shard tokenizer.json --data code/*.jsonl.zst --out shards/code\n"
      "  evo train --preset 124m --data shards/web=0.7 shards/code=0.3 --out runs/mixed\n"
      "After an interrupt, or if a shard is damaged, the same command goes on: it makes what is "
      "missing.");
  command->callback([flags, &action] { action = [flags] { shard(*flags); }; });
}

}  // namespace evo::cli
