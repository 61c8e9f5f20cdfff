#include "tokenizer/readers/gguf/gguf_tokenizer.h"

#include "base/testing.h"
#include "tokenizer/bpe/train_bpe.h"
#include "tokenizer/readers/gguf/gguf_patterns.h"
#include "tokenizer/steps/post_processor.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_samples.h"

namespace evo::tokenizer {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

constexpr std::string_view kTexts[] = {"the cat, the cat; 12345 it's We'LL",
                                       " \u6771 e\u0301 \n\n the", "", "<|endoftext|>", "a<turn>b"};

class GgufTokenizerTest : public ::testing::Test {
 protected:
  [[nodiscard]] TokenizerSpec read(const weights::GgufWriter& writer) const {
    writer.write(folder_ / "t.gguf");
    return spec_of_gguf(weights::GgufFile(folder_ / "t.gguf"));
  }
  [[nodiscard]] TokenizerSpec copy_of(const TokenizerSpec& spec, int64_t rows) const {
    weights::GgufWriter writer;
    export_tokenizer(spec, {.begin = -1, .ends = {0}}, rows, writer);
    return read(writer);
  }
  void expect_refused(const weights::GgufWriter& writer,
                      std::initializer_list<std::string_view> parts) const {
    writer.write(folder_ / "t.gguf");
    expect_error([&] { (void)spec_of_gguf(weights::GgufFile(folder_ / "t.gguf")); }, parts);
  }
  TemporaryFolder folder_;
};

/// A byte-level tokenizer that knows a few words, with a token more that is not special.
TokenizerSpec byte_level_spec() {
  const std::vector<std::string_view> texts = {"the cat sat on the mat, the cat; it's 12345"};
  TokenizerSpec spec = train_bpe(texts, {.vocab_size = 280, .quiet = true}).spec();
  spec.added.push_back(
      {.id = static_cast<int32_t>(spec.tokens.size()), .in_vocab = true, .special = false});
  spec.tokens.emplace_back("<turn>");
  return spec;
}

void expect_same_ids(const TokenizerSpec& a, const TokenizerSpec& b) {
  const Tokenizer first = Tokenizer::from_spec(a), second = Tokenizer::from_spec(b);
  for (const std::string_view text : kTexts) {
    for (const bool special : {false, true}) {
      const EncodeOptions options{.special = special, .framed = true};
      EXPECT_EQ(first.encode(text, options), second.encode(text, options)) << text;
    }
  }
}

TEST_F(GgufTokenizerTest, EveryPatternSurvivesTheFile) {
  for (const char* name : {"gpt-2", "mpt", "smollm", "command-r", "llama-bpe", "dbrx", "qwen2",
                           "qwen35", "gpt-4o", "tekken", "deepseek-v3"}) {
    const GgufPattern& pattern = *find_gguf_pattern(name);
    TokenizerSpec spec = byte_level_spec();
    spec.pre_tokenizer = pattern.pre_tokenizer();
    spec.normalizer = pattern.normalizer();
    spec.ignore_merges = pattern.ignore_merges;
    const TokenizerSpec copy = copy_of(spec, std::ssize(spec.tokens) + 7);
    EXPECT_EQ(copy.tokens, spec.tokens) << name;  // without what fills the matrix up
    EXPECT_EQ(copy.merges, spec.merges) << name;
    EXPECT_EQ(copy.added, spec.added) << name;
    EXPECT_EQ(copy.normalizer, spec.normalizer) << name;
    EXPECT_EQ(copy.ignore_merges, spec.ignore_merges) << name;
    EXPECT_EQ(copy.post_processor, "null") << name;
    expect_same_ids(copy, spec);
  }
}

TEST_F(GgufTokenizerTest, DigitsOfSmolLmStandAlone) {
  const std::vector<std::pair<int32_t, int32_t>> merge = {{'1', '2'}};
  TokenizerSpec spec = Tokenizer::from_merges(merge).spec();
  const Tokenizer pairs = Tokenizer::from_spec(spec);
  spec.pre_tokenizer = find_gguf_pattern("smollm")->pre_tokenizer();
  const Tokenizer digits = Tokenizer::from_spec(copy_of(spec, std::ssize(spec.tokens)));
  EXPECT_EQ(pairs.encode("12345").size(), 4u);
  EXPECT_EQ(digits.encode("12345").size(), 5u);
}

TEST_F(GgufTokenizerTest, PiecesSurviveTheFile) {
  for (const bool space_first : {false, true}) {
    const TokenizerSpec spec = spec_of_pieces(testing::sample_pieces(),
                                              {.byte_fallback = true, .space_first = space_first});
    const TokenizerSpec copy = copy_of(spec, std::ssize(spec.tokens) + 3);
    EXPECT_EQ(copy, spec);
  }
}

/// As Hugging Face's converter writes Gemma's: other words for the same, and merges that make what
/// is found whole.
TokenizerSpec gemma_like_spec() {
  TokenizerSpec spec =
      spec_of_pieces(testing::sample_pieces(), {.byte_fallback = true, .space_first = false});
  spec.normalizer = R"({"type":"Replace","pattern":{"String":" "},"content":"\u2581"})";
  spec.pre_tokenizer = R"({"type":"Split","pattern":{"String":" "},
                           "behavior":"MergedWithPrevious","invert":false})";
  const auto whole = static_cast<int32_t>(spec.tokens.size());
  const Merge first = spec.merges[0];
  spec.tokens.push_back(spec.tokens[first.result] + spec.tokens[first.right]);
  spec.added.push_back({.id = whole, .in_vocab = true, .special = false});
  spec.merges.push_back({first.result, first.right, whole});
  return spec;
}

TEST_F(GgufTokenizerTest, GemmasPiecesSurviveTheFile) {
  const TokenizerSpec spec = gemma_like_spec();
  const TokenizerSpec copy = copy_of(spec, std::ssize(spec.tokens) + 3);
  EXPECT_EQ(copy.tokens, spec.tokens);
  EXPECT_EQ(copy.added.back().id, spec.added.back().id);
  expect_same_ids(copy, spec);
  const std::string whole = spec.tokens.back();
  EXPECT_EQ(Tokenizer::from_spec(copy).encode(whole + " " + whole),
            Tokenizer::from_spec(spec).encode(whole + " " + whole));
  TokenizerSpec cut = spec;
  cut.pre_tokenizer = R"({"type":"Split","pattern":{"String":"e"},
                          "behavior":"Isolated","invert":false})";
  expect_error([&] { (void)copy_of(cut, 300); }, {"normalizes"});
}

TEST_F(GgufTokenizerTest, WhatIsNotSentencePiece) {
  TokenizerSpec spec = spec_of_pieces(testing::sample_pieces(), {.byte_fallback = true});
  spec.merges.pop_back();
  expect_error([&] { (void)copy_of(spec, 300); }, {"merges", "SentencePiece"});
  spec = spec_of_pieces(testing::sample_pieces(), {.byte_fallback = true});
  spec.normalizer = R"({"type":"NFC"})";
  expect_error([&] { (void)copy_of(spec, 300); }, {"normalizes"});
  spec = byte_level_spec();
  spec.normalizer = R"({"type":"Lowercase"})";
  expect_error([&] { (void)copy_of(spec, 300); }, {"no name for", "qwen2"});
}

TEST_F(GgufTokenizerTest, TokensAroundATextComeFromTheFlags) {
  for (const bool begins : {false, true}) {
    for (const bool ends : {false, true}) {
      TokenizerSpec spec = byte_level_spec();
      const int32_t id = spec.added.front().id;
      const PostProcessor::Named token{spec.tokens[static_cast<size_t>(id)], id};
      using List = std::vector<PostProcessor::Named>;
      spec.post_processor =
          PostProcessor::json_of(begins ? List{token} : List{}, ends ? List{token} : List{});
      const TokenizerSpec copy = copy_of(spec, 290);
      EXPECT_EQ(copy.post_processor, spec.post_processor);
      expect_same_ids(copy, spec);
    }
  }
}

/// The least that is a vocabulary.
weights::GgufWriter vocabulary(const char* model, const std::vector<std::string>& tokens,
                               const std::vector<int32_t>& types) {
  weights::GgufWriter writer;
  writer.set("tokenizer.ggml.model", model);
  writer.set("tokenizer.ggml.tokens", tokens);
  writer.set("tokenizer.ggml.token_type", types);
  return writer;
}

TEST_F(GgufTokenizerTest, DamagedVocabularies) {
  const weights::GgufWriter good = vocabulary("gpt2", {"a", "b", "ab"}, {1, 1, 1});
  EXPECT_EQ(read(good).tokens.size(), 3u);
  expect_refused(vocabulary("gpt2", {}, {}), {"comes without its tokenizer"});
  expect_refused(vocabulary("gpt2", {"a", "b"}, {1}), {"2 texts", "1 types"});
  expect_refused(vocabulary("gpt2", {"a"}, {7}), {"token 0", "of type 7"});
  expect_refused(vocabulary("gpt2", {"a", "a"}, {1, 1}), {"token 1 twice"});
  expect_refused(vocabulary("gpt2", {"\u6771"}, {1}), {"token 0", "byte-level alphabet"});
  expect_refused(vocabulary("llama", {"a"}, {1}), {"1 texts", "0 scores"});
  expect_refused(vocabulary("bert", {"a"}, {1}), {"'bert'", "gpt2 or llama"});
  expect_refused(vocabulary("no_vocab", {"a"}, {1}), {"without its tokenizer"});
  expect_refused(weights::GgufWriter(), {"without its tokenizer"});
  weights::GgufWriter pattern = good, merges = good, space = good, begin = good, far = good;
  pattern.set("tokenizer.ggml.pre", "poro-chat");
  expect_refused(pattern, {"'poro-chat'", "smollm"});
  const std::vector<std::string> unknown = {"a b", "a c"}, whole = {"ab"};
  merges.set("tokenizer.ggml.merges", unknown);
  expect_refused(merges, {"merges[1]", "does not have"});
  space.set("tokenizer.ggml.merges", whole);
  expect_refused(space, {"merges[0]", "a space between"});
  begin.set("tokenizer.ggml.add_bos_token", true);
  expect_refused(begin, {"bos_token_id is missing"});
  far.set("tokenizer.ggml.add_bos_token", true);
  far.set("tokenizer.ggml.bos_token_id", int64_t{3});
  expect_refused(far, {"bos_token_id is 3", "0..2"});
}

TEST_F(GgufTokenizerTest, OldFilesAreCutAsTransformersDoes) {
  weights::GgufWriter qwen = vocabulary("gpt2", {"a"}, {1}), other = qwen;
  qwen.set("general.architecture", "qwen2");
  EXPECT_EQ(read(qwen).pre_tokenizer, find_gguf_pattern("qwen2")->pre_tokenizer());
  other.set("tokenizer.ggml.pre", "default");
  EXPECT_EQ(read(other).pre_tokenizer, find_gguf_pattern("gpt-2")->pre_tokenizer());
}

}  // namespace
}  // namespace evo::tokenizer
