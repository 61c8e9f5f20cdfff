#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "text/byte_alphabet.h"
#include "text/tokenizer_json.h"

namespace evo {
namespace {

using nlohmann::ordered_json;

ordered_json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

ordered_json pre_tokenizer_json(const std::string& pattern) {
  if (pattern == kGpt2Pattern) return byte_level(false, true);
  const ordered_json split = {{"type", "Split"},
                              {"pattern", {{"Regex", pattern}}},
                              {"behavior", "Isolated"},
                              {"invert", false}};
  return {{"type", "Sequence"},
          {"pretokenizers", ordered_json::array({split, byte_level(false, false)})}};
}

ordered_json added_tokens_json(const TokenizerSpec& spec) {
  ordered_json list = ordered_json::array();
  for (const AddedToken& token : spec.added) {
    list.push_back({{"id", token.id},
                    {"content", spec.tokens[token.id]},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", token.special}});
  }
  return list;
}

// [V] how each token is written: the text of an added one as it is, others in GPT-2's alphabet.
std::vector<std::string> token_names(const TokenizerSpec& spec) {
  std::vector<std::string> names;
  for (const std::string& token : spec.tokens) names.push_back(to_byte_alphabet(token));
  for (const AddedToken& token : spec.added) names[token.id] = spec.tokens[token.id];
  return names;
}

ordered_json model_json(const TokenizerSpec& spec) {
  const std::vector<std::string> names = token_names(spec);
  std::unordered_set<int32_t> outside;  // ids that are not in the vocabulary
  for (const AddedToken& token : spec.added) {
    if (!token.in_vocab) outside.insert(token.id);
  }
  // Appended without ordered_json's search for an equal key, which is linear; the keys differ.
  ordered_json::object_t vocab;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (!outside.contains(id)) vocab.Container::emplace_back(names[i], id);
  }
  ordered_json merges = ordered_json::array();
  for (const Merge& merge : spec.merges) {
    merges.push_back(names[merge.left] + " " + names[merge.right]);
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", spec.ignore_merges},
          {"vocab", std::move(vocab)},
          {"merges", std::move(merges)}};
}

}  // namespace

std::string format_tokenizer_json(const TokenizerSpec& spec) {
  const ordered_json document = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added_tokens_json(spec)},
      {"normalizer", ordered_json::parse(spec.normalizer)},
      {"pre_tokenizer", pre_tokenizer_json(spec.pattern)},
      {"post_processor", ordered_json::parse(spec.post_processor)},
      {"decoder", byte_level(true, true)},
      {"model", model_json(spec)},
  };
  return document.dump(2) + "\n";
}

}  // namespace evo
