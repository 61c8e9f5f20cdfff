#include "tokenizer/readers/tokenizer_json.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/readers/model_vocabulary.h"
#include "tokenizer/steps/pre_tokenizer.h"

namespace evo::tokenizer {
namespace {

using nlohmann::json;

// Far deeper than any tokenizer.json; a file of nothing but brackets would take gigabytes.
constexpr int kMaxDepth = 64;

}  // namespace

json parse_hostile_json(std::string_view text) {
  const auto check_depth = [](int depth, json::parse_event_t, json&) {
    if (depth > kMaxDepth) fail("not a tokenizer.json: nested more than {} deep", kMaxDepth);
    return true;
  };
  try {
    return json::parse(text, check_depth);
  } catch (const json::exception& error) {
    // The message quotes what was read last, which may be most of the file.
    fail("not valid JSON, perhaps cut off: {}", std::string_view(error.what()).substr(0, 200));
  }
}

namespace {

// "left right" (all versions) or ["left", "right"] (tokenizers 0.20 and later).
std::pair<std::string, std::string> read_merge(const json& entry, size_t place) {
  if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
    return {entry[0].get<std::string>(), entry[1].get<std::string>()};
  }
  if (entry.is_string()) {
    const auto& text = entry.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  fail("'model.merges[{}]' must be two tokens with a space between, found {}", place,
       shown_json(entry));
}

void read_merges(const JsonSection& model, const ModelVocabulary& vocabulary, TokenizerSpec& spec) {
  const json& merges = model.array("merges");
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = read_merge(merges[i], i);
    const auto id_of = [&](const std::string& token) {
      return vocabulary.get(
          token, [&] { return fmt::format("'model.merges[{}]' is {}", i, shown_json(merges[i])); });
    };
    spec.merges.push_back({id_of(left), id_of(right), id_of(left + right)});
  }
}

// Files of the first versions of Hugging Face's library do not name the type.
TokenizerModel read_type(const JsonSection& model) {
  if (model.get("type").is_null()) {
    if (!model.get("merges").is_null()) return TokenizerModel::kBpe;
    if (model.get("vocab").is_array()) return TokenizerModel::kUnigram;
    const bool pieces = !model.get("max_input_chars_per_word").is_null();
    return pieces ? TokenizerModel::kWordPiece : TokenizerModel::kWordLevel;
  }
  constexpr std::pair<const char*, TokenizerModel> kTypes[] = {
      {"BPE", TokenizerModel::kBpe},
      {"Unigram", TokenizerModel::kUnigram},
      {"WordPiece", TokenizerModel::kWordPiece},
      {"WordLevel", TokenizerModel::kWordLevel}};
  for (const auto& [name, type] : kTypes) {
    if (model.get("type") == name) return type;
  }
  fail("'{}' is {}, which is not supported: only BPE, Unigram, WordPiece and WordLevel are",
       model.path("type"), shown_json(model.get("type")));
}

int32_t read_unknown(const JsonSection& model, const ModelVocabulary& vocabulary,
                     const TokenizerSpec& spec) {
  if (spec.model == TokenizerModel::kUnigram) {
    const json& id = model.get("unk_id");
    if (id.is_null()) return -1;
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= spec.tokens.size()) {
      fail("'{}' is {}, but ids are 0..{}", model.path("unk_id"), shown_json(id),
           spec.tokens.size() - 1);
    }
    return id.get<int32_t>();
  }
  if (model.get("unk_token").is_null()) return -1;
  const std::string name = model.string("unk_token");
  return vocabulary.get(name,
                        [&] { return fmt::format("'model.unk_token' is {}", shown_json(name)); });
}

// Our own addition, for SentencePiece's models.
void read_hidden(const JsonSection& model, TokenizerSpec& spec) {
  for (const json& id : model.array("hidden")) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= spec.tokens.size()) {
      fail("'{}' has {}, but ids are 0..{}", model.path("hidden"), shown_json(id),
           spec.tokens.size() - 1);
    }
    spec.added.push_back({.id = id.get<int32_t>(), .special = false, .hidden = true});
  }
}

void read_word_piece(const JsonSection& model, TokenizerSpec& spec) {
  // A word is cut in the square of its length.
  constexpr uint64_t kLongestWord = 1000;
  spec.continuation = model.string("continuing_subword_prefix");
  const json& longest = model.get("max_input_chars_per_word");
  if (!longest.is_number_unsigned() || longest.get<uint64_t>() > kLongestWord) {
    fail("'{}' must be a whole number from 0 to {}, found {}",
         model.path("max_input_chars_per_word"), kLongestWord, shown_json(longest));
  }
  spec.longest_word = longest.get<size_t>();
}

void read_bpe(const JsonSection& model, const ModelVocabulary& vocabulary, TokenizerSpec& spec) {
  model.expect("dropout", {nullptr, 0.0});
  model.expect("continuing_subword_prefix", {nullptr, ""});
  model.expect("end_of_word_suffix", {nullptr, ""});
  spec.ignore_merges = model.boolean("ignore_merges", false);
  spec.fuse_unknown = model.boolean("fuse_unk", false);
  read_merges(model, vocabulary, spec);
}

void read_model(const JsonSection& root, bool byte_level, TokenizerSpec& spec) {
  const JsonSection model = root.section("model");
  spec.model = read_type(model);
  if (byte_level && spec.model != TokenizerModel::kBpe) {
    fail("'{}' is {} with a ByteLevel pre-tokenizer, which is not supported: only BPE is",
         model.path("type"), shown_json(model.get("type")));
  }
  const ModelVocabulary vocabulary(model, spec.model);
  vocabulary.set_tokens(root, byte_level, spec);
  spec.byte_fallback = model.boolean("byte_fallback", false);
  spec.unknown = read_unknown(model, vocabulary, spec);
  if (!model.get("hidden").is_null()) read_hidden(model, spec);
  if (spec.model == TokenizerModel::kBpe) read_bpe(model, vocabulary, spec);
  if (spec.model == TokenizerModel::kWordPiece) read_word_piece(model, spec);
}

}  // namespace

TokenizerSpec parse_tokenizer_json(std::string_view text) {
  return spec_of_document(parse_hostile_json(text));
}

TokenizerSpec spec_of_document(const json& document) {
  if (!document.is_object()) fail("not a tokenizer.json: found {}", shown_json(document));
  const JsonSection root(document, "");
  TokenizerSpec spec;
  spec.normalizer = root.get("normalizer").dump();
  spec.pre_tokenizer = root.get("pre_tokenizer").dump();
  spec.post_processor = root.get("post_processor").dump();
  spec.decoder = root.get("decoder").dump();
  read_model(root, PreTokenizer(spec.pre_tokenizer).byte_level(), spec);
  return spec;
}

}  // namespace evo::tokenizer
