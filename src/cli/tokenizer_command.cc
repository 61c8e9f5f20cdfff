// evo tokenizer
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/terminal/progress.h"
#include "base/threads/parallel.h"
#include "cli/hub/model_option.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/tokenizer_shard.h"
#include "data/data_files.h"
#include "files/files.h"
#include "json/record.h"
#include "tokenizer/bpe/train_bpe.h"
#include "train/examples/data.h"

namespace evo::cli {
namespace {

struct TokenizerFlags {
  std::vector<std::string> data;
  std::string out, tokenizer, file;
  std::optional<std::string> text;
  std::vector<int32_t> ids;
  bool special = false, framed = false, json = false;
  int threads = 0;
  tokenizer::BpeTrainingOptions options;
};

std::string text_from_input() {
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

std::vector<int32_t> ids_from_input() {
  std::vector<int32_t> ids(std::istream_iterator<int32_t>(std::cin), {});
  if (!std::cin.eof()) {
    fail("standard input: expected token ids, found something else after the first {}", ids.size());
  }
  return ids;
}

void train(const TokenizerFlags& flags) {
  use_threads(flags.threads);
  train::CorpusOptions corpus;
  corpus.files = data::data_files(flags.data);
  constexpr size_t kMost = size_t{256} << 20;
  std::vector<std::string> notes;
  const std::vector<std::string> texts = train::sample_texts(corpus, kMost, &notes);
  for (const std::string& note : notes) log_warning("{}", note);
  tokenizer::train_bpe(std::vector<std::string_view>(texts.begin(), texts.end()), flags.options)
      .save(flags.out);
}

void encode_files(const TokenizerFlags& flags, const tokenizer::Tokenizer& tokenizer) {
  if (flags.out.empty()) throw UsageError("--data needs --out, the token file to write");
  if (flags.text || flags.special || flags.framed) {
    throw UsageError(
        "--text, --special and --framed are not for --data, whose text is all ordinary");
  }
  train::CorpusOptions corpus;
  corpus.files = data::data_files(flags.data);
  (void)train::prepare_tokens(corpus, tokenizer, flags.out);
}

void encode(const TokenizerFlags& flags) {
  use_threads(flags.threads);
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(flags.tokenizer);
  if (!flags.data.empty()) return encode_files(flags, tokenizer);
  if (!flags.out.empty()) throw UsageError("--out is for --data; ids are printed otherwise");
  const std::string text = flags.text ? *flags.text : text_from_input();
  const bool plain = !flags.special && !flags.framed;
  const std::vector<int32_t> ids =
      plain ? tokenizer.encode_parallel(text)
            : tokenizer.encode(text, {.special = flags.special, .framed = flags.framed});
  fmt::print("{}\n", fmt::join(ids, " "));
}

void decode(const TokenizerFlags& flags) {
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(flags.tokenizer);
  const std::vector<int32_t> ids = flags.ids.empty() ? ids_from_input() : flags.ids;
  for (const int32_t id : ids) {
    if (tokenizer.has(id)) continue;
    fail("{} is no token of {}: expected ids of its vocabulary of {}", id, flags.tokenizer,
         tokenizer.vocab_size());
  }
  fmt::print("{}", tokenizer.decode(ids));
}

/// What fn() takes, in megabytes of `text` per second.
template <class Fn>
double megabytes_per_second(const std::string& text, const Fn& fn) {
  const auto start = std::chrono::steady_clock::now();
  fn();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return static_cast<double>(text.size()) / 1e6 / std::max(elapsed.count(), 1e-9);
}

json::Record measure(const tokenizer::Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> ids, shared;
  std::string back;
  const double one = megabytes_per_second(text, [&] { ids = tokenizer.encode(text); });
  const double all = megabytes_per_second(text, [&] { shared = tokenizer.encode_parallel(text); });
  const double decoding = megabytes_per_second(text, [&] { back = tokenizer.decode(ids); });
  EVO_CHECK(shared == ids);
  const size_t same = static_cast<size_t>(
      std::mismatch(text.begin(), text.end(), back.begin(), back.end()).first - text.begin());
  json::Record record;
  record.set("bytes", text.size()).set("tokens", ids.size());
  record.set("bytes_per_token", static_cast<double>(text.size()) /
                                    static_cast<double>(std::max<size_t>(1, ids.size())));
  record.set("encode_mb_per_s", one).set("encode_mb_per_s_all_threads", all);
  record.set("threads", threads()).set("decode_mb_per_s", decoding);
  record.set("round_trip", back == text);
  if (back != text) record.set("first_difference", same);
  return record;
}

void check(const TokenizerFlags& flags) {
  use_threads(flags.threads);
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(flags.tokenizer);
  const json::Record result = measure(tokenizer, files::read_text_corpus(flags.file));
  if (flags.json) {
    fmt::print("{}\n", result.dump());
  } else {
    fmt::print("{}, {} tokens, {:.3f} bytes per token\n", format_bytes(result.get_double("bytes")),
               result.get_int("tokens"), result.get_double("bytes_per_token"));
    fmt::print("encoding {:.1f} MB/s on one thread, {:.1f} MB/s on {}; decoding {:.1f} MB/s\n",
               result.get_double("encode_mb_per_s"),
               result.get_double("encode_mb_per_s_all_threads"), result.get_int("threads"),
               result.get_double("decode_mb_per_s"));
  }
  if (result.get_bool("round_trip")) return;
  flush_output();
  fail(
      "{}: decoding does not give the text back, from byte {} on: the tokenizer normalizes text, "
      "or "
      "has no tokens for some of it",
      flags.file, result.get_int("first_difference"));
}

CLI::App* add_subcommand(CLI::App* command, const char* name, const char* description,
                         const std::shared_ptr<TokenizerFlags>& flags, Action& action,
                         void (*run)(const TokenizerFlags&)) {
  CLI::App* added = command->add_subcommand(name, description);
  added->callback([flags, &action, run] { action = [flags, run] { run(*flags); }; });
  return added;
}

}  // namespace

void add_tokenizer_command(CLI::App& app, Action& action) {
  constexpr const char* kForms =
      "tokenizer.json, tokenizer.model, llama2.c's tokenizer.bin, or a folder or OWNER/NAME with "
      "one";
  const auto flags = std::make_shared<TokenizerFlags>();
  CLI::App* command = app.add_subcommand("tokenizer", "Train and use BPE tokenizers");
  command->require_subcommand(1);

  CLI::App* training =
      add_subcommand(command, "train", "Train a byte-level one on files", flags, action, train);
  training->add_option("--data", flags->data, "text files, .jsonl, or folders of them")->required();
  training->add_option("--out", flags->out, "tokenizer.json to write")->required();
  training->add_option("--vocab-size", flags->options.vocab_size, "tokens")
      ->check(number(257, 1 << 24))
      ->capture_default_str();

  CLI::App* encoding =
      add_subcommand(command, "encode", "Text to token ids", flags, action, encode);
  takes_model(encoding->add_option("tokenizer", flags->tokenizer, kForms))->required();
  encoding->add_option("--text", flags->text, "text; default: standard input");
  encoding->add_flag("--special", flags->special, "names of special tokens are those tokens");
  encoding->add_flag("--framed", flags->framed, "with the tokens that begin and end a text");
  encoding->add_option("--data", flags->data,
                       "files, or folders of them, to encode instead, document by document");
  encoding->add_option("--out", flags->out, "token file to write for --data");

  CLI::App* decoding =
      add_subcommand(command, "decode", "Token ids to text", flags, action, decode);
  takes_model(decoding->add_option("tokenizer", flags->tokenizer, kForms))->required();
  decoding->add_option("--ids", flags->ids, "ids; default: standard input");

  CLI::App* checking = add_subcommand(
      command, "check", "Encode a text, decode it again, compare, measure", flags, action, check);
  takes_model(checking->add_option("tokenizer", flags->tokenizer, kForms))->required();
  checking->add_option("file", flags->file, "text, compressed or not")->required();
  checking->add_flag("--json", flags->json, "print one JSON object on stdout");

  add_tokenizer_shard_command(*command, action);

  for (CLI::App* one : {training, encoding, checking}) {
    one->add_option("--threads", flags->threads, "threads; default: all");
  }
}

}  // namespace evo::cli
