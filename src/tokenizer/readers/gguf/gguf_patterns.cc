#include "tokenizer/readers/gguf/gguf_patterns.h"

#include <algorithm>

#include "tokenizer/readers/json_section.h"
#include "tokenizer/steps/known_patterns.h"
#include "tokenizer/steps/pre_tokenizer.h"

namespace evo::tokenizer {
namespace {

constexpr const char* kDigit = R"(\p{N})";

// GPT-4o's, and Mistral's without contractions: capitals and small letters apart.
constexpr const char* kO200kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Qwen 3.5's: Qwen's with marks among the letters.
constexpr const char* kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// DeepSeek V3's three steps.
constexpr const char* kThreeDigits = R"(\p{N}{1,3})";
constexpr const char* kChineseAndKana = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
constexpr const char* kDeepSeek3Pattern =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const std::vector<GgufPattern>& all() {
  static const std::vector<GgufPattern> kPatterns = {
      {{"gpt-2", "phi-2"}, {kGpt2Pattern}},
      {{"mpt", "olmo"}, {kGpt2Pattern}, true},
      {{"smollm", "starcoder", "refact", "codeshell"}, {kDigit, kGpt2Pattern}},
      {{"command-r"}, {kDigit, kGpt2Pattern}, true},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"},
       {kLlama3Pattern},
       false,
       true,
       true},
      {{"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}, {kLlama3Pattern}},
      {{"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"}, {kQwenPattern}, true},
      {{"qwen35"}, {kQwen35Pattern}, true},
      {{"gpt-4o", "llama4", "kanana2"}, {kO200kPattern}},
      {{"tekken"}, {kTekkenPattern}, false, true, true},
      {{"deepseek-v3"}, {kThreeDigits, kChineseAndKana, kDeepSeek3Pattern}},
  };
  return kPatterns;
}

}  // namespace

std::string GgufPattern::pre_tokenizer() const {
  Json steps = Json::array();
  for (const std::string_view pattern : patterns) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"trim_offsets", true},
                   {"use_regex", false}});
  return Json{{"type", "Sequence"}, {"pretokenizers", steps}}.dump();
}

std::string GgufPattern::normalizer() const {
  return composed ? R"({"type":"NFC"})" : "null";
}

const GgufPattern* find_gguf_pattern(std::string_view name) {
  for (const GgufPattern& pattern : all()) {
    if (std::ranges::find(pattern.names, name) != pattern.names.end()) return &pattern;
  }
  return nullptr;
}

const GgufPattern* gguf_pattern_of(const std::string& pre_tokenizer, const std::string& normalizer,
                                   bool ignore_merges) {
  const bool composed = normalizer == R"({"type":"NFC"})";
  if (!composed && normalizer != "null") return nullptr;
  const std::string signature = PreTokenizer(pre_tokenizer).signature();
  const GgufPattern* found = nullptr;
  for (const GgufPattern& pattern : all()) {
    if (pattern.ignore_merges != ignore_merges ||
        PreTokenizer(pattern.pre_tokenizer()).signature() != signature) {
      continue;
    }
    if (found == nullptr || pattern.composed == composed) found = &pattern;
  }
  return found;
}

std::string gguf_pattern_names() {
  std::string names;
  for (const GgufPattern& pattern : all()) {
    for (const std::string_view name : pattern.names)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  }
  return names;
}

}  // namespace evo::tokenizer
