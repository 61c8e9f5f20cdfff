// evo tokenizer
#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "cli/program.h"
#include "io/record.h"
#include "text/trainer.h"
#include "train/data.h"

namespace evo {
namespace {

struct Flags {
  std::vector<std::string> data;
  std::string out, tokenizer;
  std::optional<std::string> text;
  std::vector<int32_t> ids;
  BpeTrainingOptions options;
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

void train(const Flags& flags) {
  CorpusOptions corpus;
  corpus.files = flags.data;
  const std::vector<std::string> texts = sample_texts(corpus);
  train_bpe(std::vector<std::string_view>(texts.begin(), texts.end()), flags.options)
      .save(flags.out);
}

void encode(const Flags& flags) {
  const Tokenizer tokenizer = Tokenizer::load(flags.tokenizer);
  const std::string text = flags.text ? *flags.text : text_from_input();
  fmt::print("{}\n", fmt::join(tokenizer.encode(text), " "));
}

void decode(const Flags& flags) {
  const Tokenizer tokenizer = Tokenizer::load(flags.tokenizer);
  fmt::print("{}", tokenizer.decode(flags.ids.empty() ? ids_from_input() : flags.ids));
}

}  // namespace

void add_tokenizer_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("tokenizer", "Train and use byte-level BPE tokenizers");
  command->require_subcommand(1);
  CLI::App* training = command->add_subcommand("train", "Train on text files");
  training->add_option("--data", flags->data, "text files")->required();
  training->add_option("--out", flags->out, "tokenizer.json to write")->required();
  training->add_option("--vocab-size", flags->options.vocab_size, "tokens")->capture_default_str();
  training->callback([flags, &action] { action = [flags] { train(*flags); }; });
  CLI::App* encoding = command->add_subcommand("encode", "Text to token ids");
  encoding->add_option("tokenizer", flags->tokenizer, "tokenizer.json")->required();
  encoding->add_option("--text", flags->text, "text; default: standard input");
  encoding->callback([flags, &action] { action = [flags] { encode(*flags); }; });
  CLI::App* decoding = command->add_subcommand("decode", "Token ids to text");
  decoding->add_option("tokenizer", flags->tokenizer, "tokenizer.json")->required();
  decoding->add_option("--ids", flags->ids, "ids; default: standard input");
  decoding->callback([flags, &action] { action = [flags] { decode(*flags); }; });
}

}  // namespace evo
