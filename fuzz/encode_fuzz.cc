// Any bytes as text: encoding and decoding gives them back, for words of bytes and of characters,
// and for each of the well-known patterns what the regular expression alone would give.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "tokenizer/readers/sentencepiece.h"
#include "tokenizer/steps/known_patterns.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_samples.h"

namespace {

using evo::tokenizer::Tokenizer;

Tokenizer with_pattern(const std::string& pattern) {
  evo::tokenizer::TokenizerSpec spec =
      Tokenizer::from_merges(std::vector<std::pair<int32_t, int32_t>>{
                                 {'t', 'h'}, {256, 'e'}, {' ', 257}, {'\n', '\n'}, {' ', ' '}})
          .spec();
  const nlohmann::json split = {
      {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
  const nlohmann::json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  spec.pre_tokenizer =
      nlohmann::json{{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}.dump();
  return Tokenizer::from_spec(spec);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer kCharacters = Tokenizer::from_spec(evo::tokenizer::parse_sentencepiece(
      evo::testing::sentencepiece_file(evo::testing::sample_pieces())));
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  EVO_CHECK(kCharacters.decode(kCharacters.encode(text)) == text ||
            text.find(evo::tokenizer::kSpaceMark) !=
                std::string_view::npos);  // the mark is a space
  // In a group a pattern is no longer a well-known one, and has no scanner of its own.
  static const std::vector<std::pair<Tokenizer, Tokenizer>> kPairs = [] {
    std::vector<std::pair<Tokenizer, Tokenizer>> pairs;
    for (const char* pattern : {evo::tokenizer::kGpt2Pattern, evo::tokenizer::kLlama3Pattern,
                                evo::tokenizer::kQwenPattern}) {
      pairs.emplace_back(with_pattern(pattern), with_pattern(fmt::format("(?:{})", pattern)));
    }
    return pairs;
  }();
  for (const auto& [quick, general] : kPairs) {
    const std::vector<int32_t> ids = quick.encode(text);
    EVO_CHECK(quick.decode(ids) == text);
    EVO_CHECK(general.encode(text) == ids);
  }
  return 0;
}
