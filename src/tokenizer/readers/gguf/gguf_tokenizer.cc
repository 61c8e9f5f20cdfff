#include "tokenizer/readers/gguf/gguf_tokenizer.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/readers/gguf/gguf_patterns.h"
#include "tokenizer/readers/piece_vocabulary.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/steps/post_processor.h"

namespace evo::tokenizer {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";

struct Vocabulary {
  std::vector<std::string_view> texts;
  std::vector<int64_t> types;
};

/// Without the tokens at the end that only fill the matrix of embeddings up.
Vocabulary read_vocabulary(const weights::GgufFile& file) {
  Vocabulary vocabulary{file.texts(kTokens), file.integers("tokenizer.ggml.token_type")};
  auto& [texts, types] = vocabulary;
  if (texts.empty()) fail("the metadata has no {}: the file comes without its tokenizer", kTokens);
  if (types.empty()) types.resize(texts.size(), weights::GgufToken::kNormal);
  if (types.size() != texts.size()) {
    fail("there are {} texts in {}, but {} types", texts.size(), kTokens, types.size());
  }
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] < weights::GgufToken::kUndefined || types[i] > weights::GgufToken::kByte)
      fail("token {} is of type {}, expected 0 to {}", i, types[i], weights::GgufToken::kByte);
  }
  while (!types.empty() && types.back() == weights::GgufToken::kUnused) {
    types.pop_back();
    texts.pop_back();
  }
  return vocabulary;
}

int32_t special_token(const weights::GgufFile& file, std::string_view name, size_t tokens) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  const auto id = file.integer(key);
  if (!id) fail("{} is missing, but texts are to have that token", key);
  if (*id < 0 || std::cmp_greater_equal(*id, tokens))
    fail("{} is {}, but ids are 0..{}", key, *id, tokens - 1);
  return static_cast<int32_t>(*id);
}

/// What comes around every text.
void set_frame(const weights::GgufFile& file, bool begins, TokenizerSpec& spec) {
  std::vector<PostProcessor::Named> prefix, suffix;
  const auto add = [&](std::string_view name, std::vector<PostProcessor::Named>& to) {
    const int32_t id = special_token(file, name, spec.tokens.size());
    to.push_back({spec.tokens[static_cast<size_t>(id)], id});
  };
  if (file.flag("tokenizer.ggml.add_bos_token").value_or(begins)) add("bos", prefix);
  if (file.flag("tokenizer.ggml.add_eos_token").value_or(false)) add("eos", suffix);
  spec.post_processor = PostProcessor::json_of(prefix, suffix);
}

/// Old files do not say how texts are cut; then it is as `transformers` has it.
const GgufPattern& pattern_of(const weights::GgufFile& file) {
  std::string_view name = file.text("tokenizer.ggml.pre").value_or("default");
  const std::string_view network = file.text("general.architecture").value_or("");
  if (name == "default") name = network.starts_with("qwen") ? "qwen2" : "gpt-2";
  if (const GgufPattern* const found = find_gguf_pattern(name)) return *found;
  fail(
      "texts are cut in the way '{}' (tokenizer.ggml.pre), which is not supported: expected one of "
      "{}",
      std::string(name.substr(0, 100)), gguf_pattern_names());
}

void read_byte_tokens(const Vocabulary& vocabulary, TokenizerSpec& spec) {
  for (size_t i = 0; i < vocabulary.texts.size(); ++i) {
    const int64_t type = vocabulary.types[i];
    const std::string text(vocabulary.texts[i]);
    const bool special =
        type == weights::GgufToken::kControl || type == weights::GgufToken::kUnknown;
    if (special || type == weights::GgufToken::kUserDefined) {
      spec.added.push_back({.id = static_cast<int32_t>(i), .special = special});
      spec.tokens.push_back(text);
      continue;
    }
    std::optional<std::string> bytes = from_byte_alphabet(text);
    if (!bytes && type != weights::GgufToken::kUnused) {
      fail("token {} of {} has a character outside the byte-level alphabet", i, kTokens);
    }
    spec.tokens.push_back(bytes ? std::move(*bytes) : text);
  }
}

void read_merges(const weights::GgufFile& file, const Vocabulary& vocabulary, TokenizerSpec& spec) {
  std::unordered_map<std::string_view, int32_t> ids;
  ids.reserve(vocabulary.texts.size());
  for (size_t i = 0; i < vocabulary.texts.size(); ++i) {
    if (!ids.emplace(vocabulary.texts[i], static_cast<int32_t>(i)).second)
      fail("{} has token {} twice", kTokens, i);
  }
  const std::vector<std::string_view> merges = file.texts("tokenizer.ggml.merges");
  std::string joined;
  for (size_t i = 0; i < merges.size(); ++i) {
    const size_t space = merges[i].find(' ', 1);
    if (space == std::string_view::npos)
      fail("tokenizer.ggml.merges[{}] must be two tokens with a space between", i);
    const std::string_view left = merges[i].substr(0, space), right = merges[i].substr(space + 1);
    joined.assign(left).append(right);
    const auto id_of = [&](std::string_view text) {
      const auto found = ids.find(text);
      if (found != ids.end()) return found->second;
      fail("tokenizer.ggml.merges[{}] needs a token that {} does not have", i, kTokens);
    };
    spec.merges.push_back({id_of(left), id_of(right), id_of(joined)});
  }
}

TokenizerSpec read_byte_level(const weights::GgufFile& file) {
  const Vocabulary vocabulary = read_vocabulary(file);
  const GgufPattern& pattern = pattern_of(file);
  TokenizerSpec spec;
  spec.normalizer = pattern.normalizer();
  spec.pre_tokenizer = pattern.pre_tokenizer();
  spec.ignore_merges = pattern.ignore_merges;
  read_byte_tokens(vocabulary, spec);
  read_merges(file, vocabulary, spec);
  set_frame(file, pattern.begins, spec);
  return spec;
}

TokenizerSpec read_pieces(const weights::GgufFile& file) {
  const Vocabulary vocabulary = read_vocabulary(file);
  const std::vector<double> scores = file.reals("tokenizer.ggml.scores");
  if (scores.size() < vocabulary.texts.size()) {
    fail("there are {} texts in {}, but {} scores", vocabulary.texts.size(), kTokens,
         scores.size());
  }
  std::vector<Piece> pieces;
  bool has_bytes = false;
  for (size_t i = 0; i < vocabulary.texts.size(); ++i) {
    const int64_t type = vocabulary.types[i] == weights::GgufToken::kUndefined
                             ? weights::GgufToken::kNormal
                             : vocabulary.types[i];
    has_bytes = has_bytes || type == weights::GgufToken::kByte;
    pieces.push_back({std::string(vocabulary.texts[i]), static_cast<float>(scores[i]),
                      static_cast<Piece::Kind>(type)});
  }
  TokenizerSpec spec = spec_of_pieces(
      pieces, {.byte_fallback = has_bytes,
               .space_first = file.flag("tokenizer.ggml.add_space_prefix").value_or(true)});
  set_frame(file, true, spec);
  return spec;
}

}  // namespace

TokenizerSpec spec_of_gguf(const weights::GgufFile& file) {
  if (const auto whole = file.text("tokenizer.huggingface.json"))
    return parse_tokenizer_json(*whole);
  const std::string_view kind = file.text("tokenizer.ggml.model").value_or("");
  if (kind == "gpt2") return read_byte_level(file);
  if (kind == "llama") return read_pieces(file);
  if (kind.empty() || kind == "no_vocab" || kind == "none")
    fail("the file comes without its tokenizer (tokenizer.ggml.model)");
  fail("the tokenizer is of the kind '{}' (tokenizer.ggml.model), expected gpt2 or llama",
       std::string(kind.substr(0, 100)));
}

}  // namespace evo::tokenizer
