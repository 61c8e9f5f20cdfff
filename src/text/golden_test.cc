// Against vocabularies and ids published by others.
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/files.h"
#include "text/split_pattern.h"
#include "text/testing.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_spec.h"
#include "text/trainer.h"

namespace evo {
namespace {

using nlohmann::json;
using testing::read_bytes;
using testing::shared_data;
using testing::split_text;

constexpr const char* kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

void expect_vectors(const Tokenizer& tokenizer, const std::string& name) {
  const std::string base = "tokenizers/gguf-vocab/ggml-vocab-" + name + ".gguf";
  std::vector<std::string> texts =
      split_text(read_bytes(shared_data(base + ".inp")), "\n__ggml_vocab_test__\n");
  const std::vector<std::string> lines = split_text(read_bytes(shared_data(base + ".out")), "\n");
  texts.pop_back();  // a separator ends the file
  ASSERT_EQ(texts.size(), 46u);
  ASSERT_GE(lines.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    std::istringstream line(lines[i]);
    const std::vector<int32_t> expected(std::istream_iterator<int32_t>(line), {});
    EXPECT_EQ(tokenizer.encode(texts[i]), expected) << texts[i];
    EXPECT_EQ(tokenizer.decode(expected), texts[i]);
  }
}

TEST(Golden, Gpt2FileGivesThePublishedIds) {
  const auto path = shared_data("tokenizers/gpt2/tokenizer.json.xz");
  EVO_REQUIRE_SHARED_DATA(path);
  const testing::TemporaryFolder folder;
  testing::write_bytes(folder / "tokenizer.json", read_text_corpus(path));
  const Tokenizer tokenizer = Tokenizer::load(folder / "tokenizer.json");
  EXPECT_EQ(tokenizer.vocab_size(), 50257);
  EXPECT_EQ(tokenizer.end_of_text(), 50256);
  EXPECT_EQ(tokenizer.token_bytes(262), " the");
  expect_vectors(tokenizer, "gpt-2");

  tokenizer.save(folder / "again.json");
  const Tokenizer again = Tokenizer::load(folder / "again.json");
  EXPECT_EQ(again.spec(), tokenizer.spec());
  EXPECT_EQ(again.fingerprint(), tokenizer.fingerprint());
}

// The counts of README.md beside the data: made with another implementation.
TEST(Golden, Gpt2CountsTheTokensOfABook) {
  const auto path = shared_data("tokenizers/gpt2/tokenizer.json.xz");
  EVO_REQUIRE_SHARED_DATA(path);
  const Tokenizer tokenizer = Tokenizer::from_spec(parse_tokenizer_json(read_text_corpus(path)));
  const auto count = [&](const std::string& name) {
    const std::string text = read_text_corpus(shared_data(name));
    const std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(ids), text);
    return ids.size();
  };
  EXPECT_EQ(count("corpora/tinyshakespeare/input.txt.xz"), 338025u);
  EXPECT_EQ(count("corpora/wikitext-2/valid.txt.xz"), 258659u);
}

// Qwen's files hold the vocabulary and merges apart; here they are put together as tokenizer.json.
TEST(Golden, QwenSplitPatternGivesThePublishedIds) {
  const auto vocab = shared_data("tokenizers/qwen/vocab.json.xz");
  EVO_REQUIRE_SHARED_DATA(vocab);
  json added = json::array();
  const json names = json::parse(read_bytes(shared_data("tokenizers/qwen/added_tokens.json")));
  for (const auto& [content, id] : names.items()) {
    added.push_back({{"id", id}, {"content", content}});
  }
  json merges = json::array();
  for (const std::string& line :
       split_text(read_text_corpus(shared_data("tokenizers/qwen/merges.txt.xz")), "\n")) {
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(line);
  }
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json split = {
      {"type", "Split"}, {"pattern", {{"Regex", kQwenPattern}}}, {"behavior", "Isolated"}};
  const json document = {
      {"added_tokens", added},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"}, {"vocab", json::parse(read_text_corpus(vocab))}, {"merges", merges}}}};
  const Tokenizer tokenizer = Tokenizer::from_spec(parse_tokenizer_json(document.dump()));
  EXPECT_EQ(tokenizer.vocab_size(), 151670);
  EXPECT_EQ(tokenizer.end_of_text(), 151643);
  expect_vectors(tokenizer, "qwen2");
  EXPECT_EQ(parse_tokenizer_json(format_tokenizer_json(tokenizer.spec())), tokenizer.spec());
}

// The reference breaks ties as we do: the greatest pair of byte strings.
TEST(Golden, TrainingGivesTheReferenceMerges) {
  const auto corpus = shared_data("tokenizers/bpe-fixtures/corpus.en");
  EVO_REQUIRE_SHARED_DATA(corpus);
  const std::string text = read_bytes(corpus);
  const std::string_view texts[] = {text};
  const Tokenizer tokenizer = train_bpe(texts, {.vocab_size = 500, .quiet = true});
  EXPECT_EQ(tokenizer.vocab_size(), 500);
  const json merges = json::parse(format_tokenizer_json(tokenizer.spec())).at("model").at("merges");
  std::string lines;
  for (const json& merge : merges) lines += merge.get<std::string>() + "\n";
  EXPECT_EQ(lines,
            read_bytes(shared_data("tokenizers/bpe-fixtures/train-bpe-reference-merges.txt")));
}

TEST(Golden, AVocabularyWithoutAllBytesIsRefused) {
  const auto path = shared_data("tokenizers/tiny-hf/tokenizer.json");
  EVO_REQUIRE_SHARED_DATA(path);
  const std::string message = testing::error_of([&] { Tokenizer::load(path.string()); });
  EXPECT_NE(message.find("outside the byte-level alphabet"), std::string::npos) << message;
}

}  // namespace
}  // namespace evo
