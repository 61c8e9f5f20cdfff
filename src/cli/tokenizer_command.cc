// evo tokenizer
#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <memory>

#include "cli/program.h"
#include "io/record.h"
#include "text/trainer.h"
#include "train/data.h"

namespace evo {
namespace {

struct Flags {
  std::vector<std::string> data;
  std::string out, tokenizer, text;
  std::vector<int32_t> ids;
  BpeTrainingOptions options;
};

std::string text_or_input(const std::string& text) {
  if (!text.empty()) return text;
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

void train(const Flags& flags) {
  const Corpus corpus(flags.data);
  train_bpe(corpus.documents(), flags.options).save(flags.out);
}

void encode(const Flags& flags) {
  fmt::print("{}\n",
             fmt::join(Tokenizer::load(flags.tokenizer).encode(text_or_input(flags.text)), " "));
}

void decode(const Flags& flags) {
  std::vector<int32_t> ids = flags.ids;
  if (ids.empty()) ids.assign(std::istream_iterator<int32_t>(std::cin), {});
  fmt::print("{}", Tokenizer::load(flags.tokenizer).decode(ids));
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
