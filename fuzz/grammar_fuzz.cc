// Any bytes as a JSON Schema, and behind a NUL which token to take of those that are allowed: a
// text never comes to where nothing is allowed, and whenever it is complete it is valid JSON, valid
// under the schema.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "grammar/grammar_state.h"
#include "grammar/testing.h"

namespace {

using evo::testing::Validator;

std::shared_ptr<const evo::grammar::TokenTrie> trie() {
  // {"  ":  ",  ","  half of \u00E9 with a quote, \u00
  constexpr std::pair<int32_t, int32_t> kMerges[] = {{'{', '"'},  {'"', ':'},  {'"', ','},
                                                     {258, '"'},  {'"', 0xC3}, {0xA9, '"'},
                                                     {'\\', 'u'}, {262, '0'}};
  static const auto kTrie = std::make_shared<const evo::grammar::TokenTrie>(
      evo::tokenizer::Tokenizer::from_merges(kMerges));
  return kTrie;
}

std::vector<int32_t> allowed_tokens(const evo::grammar::GrammarState& state) {
  std::vector<uint8_t> mask(static_cast<size_t>(trie()->vocab_size()));
  state.allowed(mask);
  std::vector<int32_t> tokens;
  for (int32_t token = 0; token < trie()->vocab_size(); ++token) {
    EVO_CHECK(state.accepts(token) == (mask[token] != 0));
    if (mask[token] != 0) tokens.push_back(token);
  }
  return tokens;
}

void check_text(const std::string& text, const Validator& validator) {
  const auto value = Validator::Json::parse(text, nullptr, /*allow_exceptions=*/false);
  EVO_CHECK(!value.is_discarded());
  EVO_CHECK(validator.is_valid(value));
}

void write_text(const evo::grammar::Grammar& grammar, std::string_view choices,
                const Validator& validator) {
  constexpr size_t kMostTokens = 120;
  evo::Random random(choices.size());  // for choices that are not there
  evo::grammar::GrammarState state(grammar, trie());
  std::string text;
  for (size_t i = 0; i < kMostTokens; ++i) {
    const std::vector<int32_t> tokens = allowed_tokens(state);
    EVO_CHECK(!tokens.empty());
    if (state.complete()) check_text(text, validator);
    if (state.final()) return;
    const size_t choice = i < choices.size() ? static_cast<uint8_t>(choices[i]) : random.next();
    const int32_t token = tokens[choice % tokens.size()];
    EVO_CHECK(state.advance(token));
    text += trie()->bytes(token);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const std::string_view schema = input.substr(0, end);
  try {
    const evo::grammar::Grammar grammar = evo::grammar::Grammar::from_json_schema(schema);
    const auto json = Validator::Json::parse(schema);
    write_text(grammar, end == input.npos ? "" : input.substr(end + 1), Validator(json));
  } catch (const evo::Error&) {
  }
  return 0;
}
