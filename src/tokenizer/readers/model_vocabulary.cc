#include "tokenizer/readers/model_vocabulary.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/readers/json_section.h"

namespace evo::tokenizer {
namespace {

// Ids come from the file, and each takes memory, whether it has a token or not. The largest
// published vocabulary has 262,144.
constexpr int32_t kMostIds = 1 << 22;

int32_t read_id(const Json& value, std::string_view token) {
  const bool fits = value.is_number_unsigned() && value.get<uint64_t>() < kMostIds;
  if (!fits) {
    fail("the id of token {} is {}: expected a whole number from 0 to {}", shown_json(token),
         shown_json(value), kMostIds - 1);
  }
  return value.get<int32_t>();
}

void place_token(TokenizerSpec& spec, int32_t id, std::string bytes, std::string_view name) {
  const auto place = static_cast<size_t>(id);
  if (place >= spec.tokens.size()) spec.tokens.resize(place + 1);
  if (!spec.tokens[place].empty()) {
    fail("id {} is given to token {} and to another one", id, shown_json(name));
  }
  spec.tokens[place] = std::move(bytes);
}

// Reads "added_tokens" one by one.
class AddedTokens {
 public:
  AddedTokens(const ModelVocabulary& vocabulary, int32_t vocabulary_size, TokenizerSpec& spec)
      : vocabulary_(vocabulary), next_(vocabulary_size), spec_(spec) {}

  void read(const Json& entry) {
    const JsonSection section(entry, "added_tokens[]");
    const std::string content = section.string("content");
    if (content.empty()) return;
    AddedToken token = read_added_flags(entry);
    token.id = vocabulary_.find(content);
    token.in_vocab = token.id >= 0;
    const auto [place, is_new] = places_.emplace(content, spec_.added.size());
    if (!is_new) {
      token.id = spec_.added[place->second].id;
      spec_.added[place->second] = token;
      return;
    }
    if (token.in_vocab && section.get("id") != token.id) {
      fail("added token {} has id {} in 'added_tokens' and {} in 'model.vocab'",
           shown_json(content), shown_json(section.get("id")), token.id);
    }
    if (!token.in_vocab) token.id = next_;
    if (token.id >= kMostIds) fail("the tokenizer has more than {} tokens", kMostIds);
    next_ = std::max(next_, token.id + 1);
    place_token(spec_, token.id, content, content);
    spec_.added.push_back(token);
  }

 private:
  const ModelVocabulary& vocabulary_;
  int32_t next_;
  TokenizerSpec& spec_;
  std::unordered_map<std::string, size_t> places_;  // in spec_.added
};

}  // namespace

AddedToken read_added_flags(const Json& object) {
  const JsonSection section(object, "added_tokens[]");
  const bool special = section.boolean("special", false);
  return {.single_word = section.boolean("single_word", false),
          .lstrip = section.boolean("lstrip", false),
          .rstrip = section.boolean("rstrip", false),
          .normalized = section.boolean("normalized", !special),
          .verbatim = section.boolean("verbatim", false),
          .special = special};
}

int64_t read_decimal_id(const std::string& text) {
  if (text.empty() || text.size() > 9 ||
      text.find_first_not_of("0123456789") != std::string::npos) {
    fail("'added_tokens_decoder' has {} where an id must be", shown_json(text));
  }
  return std::stoll(text);
}

ModelVocabulary::ModelVocabulary(const JsonSection& model, TokenizerModel kind) {
  if (kind != TokenizerModel::kUnigram) {
    const Json& vocab = model.object("vocab");
    ids_.reserve(vocab.size());
    for (auto token = vocab.begin(); token != vocab.end(); ++token) {
      add(token.key(), read_id(token.value(), token.key()));
    }
    return;
  }
  for (const Json& entry : model.array("vocab")) {
    const bool fits =
        entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number();
    if (!fits || end_ == kMostIds) {
      fail("'{}[{}]' must be a token and its score, one of at most {}, found {}",
           model.path("vocab"), end_, kMostIds, shown_json(entry));
    }
    scores_.push_back(entry[1].get<double>());
    add(entry[0].get_ref<const std::string&>(), end_);
  }
}

// Of equal names, which only Unigram's list can have, the last counts.
void ModelVocabulary::add(std::string_view name, int32_t id) {
  entries_.emplace_back(name, id);
  ids_[name] = id;
  end_ = std::max(end_, id + 1);
}

int32_t ModelVocabulary::find(std::string_view name) const {
  const auto found = ids_.find(name);
  return found == ids_.end() ? -1 : found->second;
}

void ModelVocabulary::set_tokens(const JsonSection& root, bool byte_level,
                                 TokenizerSpec& spec) const {
  spec.tokens.resize(static_cast<size_t>(end_));
  if (!root.get("added_tokens").is_null()) {
    AddedTokens added(*this, static_cast<int32_t>(entries_.size()), spec);
    for (const Json& entry : root.array("added_tokens")) added.read(entry);
  }
  std::vector<bool> placed(spec.tokens.size());
  for (const AddedToken& token : spec.added) placed[static_cast<size_t>(token.id)] = token.in_vocab;
  for (const auto& [name, id] : entries_) {
    if (placed[static_cast<size_t>(id)] || name.empty()) continue;
    const std::optional<std::string> bytes =
        byte_level ? from_byte_alphabet(name) : std::string(name);
    place_token(spec, id, bytes ? *bytes : std::string(name), name);
    if (!bytes) spec.added.push_back({.id = id, .special = false, .hidden = true});
  }
  spec.scores = scores_;
  if (!scores_.empty()) spec.scores.resize(spec.tokens.size());
}

}  // namespace evo::tokenizer
