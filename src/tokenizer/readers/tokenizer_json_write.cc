#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/steps/pre_tokenizer.h"

namespace evo::tokenizer {
namespace {

using nlohmann::ordered_json;

// Hugging Face writes the type of a section first, and so do we.
ordered_json type_first(const nlohmann::json& value) {
  if (value.is_array()) {
    ordered_json list = ordered_json::array();
    for (const auto& one : value) list.push_back(type_first(one));
    return list;
  }
  if (!value.is_object()) return value;
  ordered_json object = ordered_json::object();
  if (value.contains("type")) object["type"] = value["type"];
  for (const auto& [key, member] : value.items()) object[key] = type_first(member);
  return object;
}

ordered_json section(const std::string& text) {
  return type_first(nlohmann::json::parse(text));
}

ordered_json added_tokens_json(const TokenizerSpec& spec) {
  ordered_json list = ordered_json::array();
  for (const AddedToken& token : spec.added) {
    if (token.hidden) continue;
    list.push_back({{"id", token.id},
                    {"content", spec.tokens[token.id]},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", token.special}});
    if (token.verbatim) list.back()["verbatim"] = true;  // our own addition
  }
  return list;
}

// [V] how each token is written: as its text, but those of byte-level ones in GPT-2's alphabet,
// unless they are added.
std::vector<std::string> token_names(const TokenizerSpec& spec) {
  if (!PreTokenizer(spec.pre_tokenizer).byte_level()) return spec.tokens;
  std::vector<std::string> names;
  for (const std::string& token : spec.tokens) names.push_back(to_byte_alphabet(token));
  for (const AddedToken& token : spec.added) names[token.id] = spec.tokens[token.id];
  return names;
}

// "left right" as all versions of Hugging Face's library read it, or pairs if a name has a space.
ordered_json merges_json(const TokenizerSpec& spec, const std::vector<std::string>& names) {
  const bool spaces = std::any_of(spec.merges.begin(), spec.merges.end(), [&](const Merge& merge) {
    return names[merge.result].find(' ') != std::string::npos;
  });
  ordered_json merges = ordered_json::array();
  for (const Merge& merge : spec.merges) {
    const std::string &left = names[merge.left], &right = names[merge.right];
    merges.push_back(spaces ? ordered_json::array({left, right})
                            : ordered_json(left + " " + right));
  }
  return merges;
}

// Names and ids, or for Unigram names and scores in the order of their ids.
ordered_json vocabulary_json(const TokenizerSpec& spec, const std::vector<std::string>& names) {
  std::unordered_set<int32_t> outside;  // ids that are not in the vocabulary
  for (const AddedToken& token : spec.added) {
    if (!token.in_vocab) outside.insert(token.id);
  }
  const bool unigram = spec.model == TokenizerModel::kUnigram;
  // Appended without ordered_json's search for an equal key, which is linear; the keys differ.
  ordered_json::object_t vocab;
  ordered_json list = ordered_json::array();
  for (size_t i = 0; i < names.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (outside.contains(id)) continue;
    if (unigram) {
      list.push_back(ordered_json::array({names[i], spec.scores[i]}));
    } else if (!names[i].empty()) {
      vocab.Container::emplace_back(names[i], id);
    }
  }
  return unigram ? list : ordered_json(std::move(vocab));
}

ordered_json model_json(const TokenizerSpec& spec) {
  const std::vector<std::string> names = token_names(spec);
  ordered_json vocab = vocabulary_json(spec, names);
  const ordered_json unknown =
      spec.unknown < 0 ? ordered_json() : ordered_json(names[static_cast<size_t>(spec.unknown)]);
  switch (spec.model) {
    case TokenizerModel::kUnigram: {
      ordered_json model = {{"type", "Unigram"},
                            {"unk_id", unknown.is_null() ? unknown : ordered_json(spec.unknown)},
                            {"vocab", std::move(vocab)},
                            {"byte_fallback", spec.byte_fallback}};
      for (const AddedToken& token : spec.added) {
        if (token.hidden) model["hidden"].push_back(token.id);  // our own addition
      }
      return model;
    }
    case TokenizerModel::kWordPiece:
      return {{"type", "WordPiece"},
              {"unk_token", unknown},
              {"continuing_subword_prefix", spec.continuation},
              {"max_input_chars_per_word", spec.longest_word},
              {"vocab", std::move(vocab)}};
    case TokenizerModel::kWordLevel:
      return {{"type", "WordLevel"}, {"vocab", std::move(vocab)}, {"unk_token", unknown}};
    case TokenizerModel::kBpe:
      break;
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unknown},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", spec.fuse_unknown},
          {"byte_fallback", spec.byte_fallback},
          {"ignore_merges", spec.ignore_merges},
          {"vocab", std::move(vocab)},
          {"merges", merges_json(spec, names)}};
}

}  // namespace

std::string format_tokenizer_json(const TokenizerSpec& spec) {
  const ordered_json document = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added_tokens_json(spec)},
      {"normalizer", section(spec.normalizer)},
      {"pre_tokenizer", section(spec.pre_tokenizer)},
      {"post_processor", section(spec.post_processor)},
      {"decoder", section(spec.decoder)},
      {"model", model_json(spec)},
  };
  return document.dump(2) + "\n";
}

}  // namespace evo::tokenizer
