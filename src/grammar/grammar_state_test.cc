// Texts written token by token: whatever is drawn from allowed() is valid in the end.
#include "grammar/grammar_state.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "grammar/testing.h"
#include "tokenizer/readers/sentencepiece.h"
#include "tokenizer/tokenizer_samples.h"

namespace evo::grammar {
namespace {

using Json = nlohmann::ordered_json;

/// Of bytes; of joined structure and of parts of characters; of SentencePiece's pieces; of BPE.
std::vector<tokenizer::Tokenizer> tokenizers() {
  const std::filesystem::path here(__FILE__);
  const std::pair<int32_t, int32_t> merges[] = {
      {'{', '"'},   {'"', ':'},  {257, ' '},
      {'"', ','},   {259, ' '},  // {"  ":  ":_  ",  ",_
      {260, '"'},   {'"', 0xC3}, {0xC3, 0xA9},
      {0xA9, '"'},  {'\\', 'u'},  // ",_"  "\xC3  \u00E9  \xA9"
      {265, '0'},   {266, '0'},  {'}', '}'},
      {']', '}'},   {'\\', '"'},  // \u0  \u00  }}  ]}  \"
      {0xE6, 0x9D}, {'a', 'b'},  {'1', '2'},
      {'.', '5'},   {'\n', ' '}};
  return {tokenizer::Tokenizer::from_merges({}), tokenizer::Tokenizer::from_merges(merges),
          tokenizer::Tokenizer::from_spec(tokenizer::parse_sentencepiece(
              testing::sentencepiece_file(testing::sample_pieces()))),
          tokenizer::Tokenizer::load(here.parent_path() / "../../assets/evo-7m/tokenizer.json")};
}

const char* const kSchemas[] = {
    R"({"type": "object"})",
    R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"type":
        "integer", "minimum": 0, "maximum": 120}, "tags": {"type": "array", "items": {"enum": ["a",
        "ab", "\u00e9", "\u6771"]}, "minItems": 1, "maxItems": 3}}, "required": ["name", "tags"],
        "additionalProperties": false})",
    R"({"anyOf": [{"type": "object", "properties": {"kind": {"const": "leaf"}, "value": {"type":
        "number"}}, "required": ["kind", "value"]}, {"type": "object", "properties": {"kind":
        {"const": "list"}, "next": {"$ref": "#"}}, "required": ["kind", "next"]}]})",
    R"({"properties": {"ab": {"type": "integer"}, "\u00e9": {"type": "null"}},
        "additionalProperties": {"type": "boolean"}})",
    R"({"type": "array", "prefixItems": [{"type": "string", "minLength": 3}, {"type": ["null",
        "integer"]}], "items": {"type": "number"}, "minItems": 4})",
    R"({"const": {"a": [1, null, "\u00e9"], "b": {}}})",
};

std::vector<uint8_t> mask_of(const GrammarState& state, const TokenTrie& trie) {
  std::vector<uint8_t> mask(static_cast<size_t>(trie.vocab_size()) + 3, 7);
  state.allowed(mask);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(mask[mask.size() - 1 - i], 0);
  mask.resize(mask.size() - 3);
  return mask;
}

/// A draw from the allowed tokens. With `hurry` it leads to an end: it closes what can be closed.
int32_t draw(const std::vector<uint8_t>& mask, const TokenTrie& trie, Random& random, bool hurry) {
  const auto find = [&](std::string_view bytes) {
    int32_t token = 0;
    while (token < trie.vocab_size() && (mask[token] == 0 || trie.bytes(token) != bytes)) ++token;
    return token;
  };
  const bool in_string = find("~") < trie.vocab_size();
  for (const char* closing : {"}", "]", "\""}) {
    if (!hurry || (in_string && *closing != '"')) continue;
    if (const int32_t token = find(closing); token < trie.vocab_size()) return token;
  }
  std::vector<int32_t> allowed;
  for (int32_t token = 0; token < trie.vocab_size(); ++token) {
    if (mask[token] != 0 && !(hurry && trie.bytes(token).size() > 1)) allowed.push_back(token);
  }
  EVO_CHECK(!allowed.empty());
  return allowed[random.below(allowed.size())];
}

/// accepts(), allowed() and reading the bytes must agree for every token.
void check_mask(const Grammar& grammar, const GrammarState& state, const TokenTrie& trie,
                const std::string& text, const std::vector<uint8_t>& mask) {
  Automaton automaton(grammar.program());
  Automaton::State here = automaton.start();
  for (const char byte : text) here = automaton.step(here, static_cast<uint8_t>(byte));
  ASSERT_NE(here, Automaton::kDead);
  EXPECT_EQ(state.complete(), automaton.complete(here)) << text;
  for (int32_t token = 0; token < trie.vocab_size(); ++token) {
    Automaton::State next = trie.bytes(token).empty() ? Automaton::kDead : here;
    for (const char byte : trie.bytes(token)) {
      if (next != Automaton::kDead) next = automaton.step(next, static_cast<uint8_t>(byte));
    }
    const bool expected = trie.is_end(token) ? automaton.complete(here) : next != Automaton::kDead;
    ASSERT_EQ(mask[token], expected ? 1 : 0) << "token " << token << " after " << text;
    ASSERT_EQ(state.accepts(token), expected) << "token " << token << " after " << text;
  }
}

TEST(GrammarState, WhatIsDrawnIsValid) {
  int texts = 0;
  for (const tokenizer::Tokenizer& tokenizer : tokenizers()) {
    const auto trie = std::make_shared<const TokenTrie>(tokenizer);
    for (const char* schema : kSchemas) {
      SCOPED_TRACE(fmt::format("{} tokens, {}", tokenizer.vocab_size(), schema));
      const Grammar grammar = Grammar::from_json_schema(schema);
      const GrammarState empty(grammar, trie);
      const Json json = Json::parse(schema);
      const testing::Validator validator(json);
      for (uint64_t seed = 0; seed < 12; ++seed) {
        Random random(seed, 5);
        GrammarState state = empty;
        std::string text;
        const uint64_t patience = 10 + random.below(40), checked = random.below(30);
        for (uint64_t i = 0; !state.final(); ++i) {
          ASSERT_LT(i, 2000u) << text;
          const std::vector<uint8_t> mask = mask_of(state, *trie);
          if (i == checked) check_mask(grammar, state, *trie, text, mask);
          const int32_t token = draw(mask, *trie, random, i > patience);
          ASSERT_TRUE(state.advance(token));
          if (trie->is_end(token)) break;
          text += tokenizer.token_bytes(token);
        }
        ASSERT_TRUE(state.complete());
        ASSERT_TRUE(Json::accept(text)) << text;
        EXPECT_TRUE(validator.is_valid(Json::parse(text))) << text;
        ++texts;
      }
    }
  }
  EXPECT_EQ(texts, 4 * 6 * 12);
}

TEST(GrammarState, RefusedTokensChangeNothing) {
  const auto trie = std::make_shared<const TokenTrie>(tokenizer::Tokenizer::from_merges({}));
  GrammarState state(Grammar::json_object(), trie);
  const int32_t end = 256;
  EXPECT_FALSE(state.advance('x'));
  EXPECT_FALSE(state.advance(end));
  EXPECT_FALSE(state.advance(-1));
  EXPECT_FALSE(state.advance(257));
  EXPECT_TRUE(state.advance('{'));
  EXPECT_FALSE(state.advance('{'));
  EXPECT_FALSE(state.complete());
  EXPECT_TRUE(state.advance('}'));
  EXPECT_TRUE(state.complete());
  EXPECT_TRUE(state.final());
  EXPECT_TRUE(state.accepts(end));
  EXPECT_TRUE(state.advance(end));
  EXPECT_FALSE(state.advance(' '));
}

TEST(GrammarState, TextsThatMayGoOnAreNotFinal) {
  const auto trie = std::make_shared<const TokenTrie>(
      tokenizer::Tokenizer::from_merges({{{'a', 'b'}}}), std::vector<int32_t>{256, 257, 300});
  GrammarState state(Grammar::from_json_schema(R"({"type": "integer"})"), trie);
  EXPECT_FALSE(state.accepts(257));
  EXPECT_TRUE(state.advance('1'));
  EXPECT_TRUE(state.complete());
  EXPECT_FALSE(state.final());
  for (const int32_t end : {256, 257}) {
    EXPECT_TRUE(state.accepts(end));
    EXPECT_EQ(mask_of(state, *trie)[end], 1);
  }
  EXPECT_TRUE(state.advance('2'));
}

TEST(GrammarState, CopiesGoTheirOwnWays) {
  const auto trie = std::make_shared<const TokenTrie>(tokenizer::Tokenizer::from_merges({}));
  GrammarState state(Grammar::from_json_schema(R"({"enum": ["ab", "ac", 1]})"), trie);
  ASSERT_TRUE(state.advance('"') && state.advance('a'));
  GrammarState copy = state;
  ASSERT_TRUE(copy.advance('b') && copy.advance('"'));
  EXPECT_TRUE(copy.final());
  EXPECT_FALSE(state.complete());
  EXPECT_TRUE(state.accepts('c'));
  state = copy;
  EXPECT_TRUE(state.final());
}

/// What states remember is bounded: a long text of ever new states moves from one memory to the
/// next, and so do copies that stayed behind.
TEST(GrammarState, LongTextsMoveOn) {
  const auto trie = std::make_shared<const TokenTrie>(tokenizer::Tokenizer::from_merges({}));
  GrammarState state(Grammar::from_json_schema(R"({"items": {"maxLength": 20000}, "maxItems": 3})"),
                     trie);
  ASSERT_TRUE(state.advance('[') && state.advance('"'));
  GrammarState behind = state;
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(state.advance('x')) << i;
  EXPECT_FALSE(state.accepts('x'));
  EXPECT_TRUE(state.advance('"') && state.advance(']') && state.final());
  ASSERT_TRUE(behind.advance('"'));
  EXPECT_EQ(mask_of(behind, *trie)[','], 1);
  EXPECT_EQ(mask_of(behind, *trie)['x'], 0);
  EXPECT_TRUE(behind.advance(']') && behind.final());
}

TEST(GrammarState, ThreadsMayHaveCopies) {
  const auto trie = std::make_shared<const TokenTrie>(tokenizers()[1]);
  const GrammarState empty(Grammar::json_object(), trie);
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < texts.size(); ++i) {
    threads.emplace_back([&, i] {
      Random random(i / 2);
      GrammarState state = empty;
      for (int n = 0; !state.final() && n < 2000; ++n) {
        std::vector<uint8_t> mask(static_cast<size_t>(trie->vocab_size()));
        state.allowed(mask);
        const int32_t token = draw(mask, *trie, random, n > 40);
        texts[i] += trie->bytes(token);
        EVO_CHECK(state.advance(token));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_TRUE(Json::accept(text)) << text;
  EXPECT_EQ(texts[0], texts[1]);
  EXPECT_EQ(texts[2], texts[3]);
}

}  // namespace
}  // namespace evo::grammar
