// The tokens of a tokenizer.json: "model.vocab" and "added_tokens".
#pragma once

#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokenizer/readers/json_section.h"
#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

/// What Hugging Face's files say of an added token, but for its id and content.
AddedToken read_added_flags(const nlohmann::json& object);

/// An id that is the key of an object: decimal digits. Throws Error.
int64_t read_decimal_id(const std::string& text);

/// Names and ids of "model.vocab". The names are views into the document.
class ModelVocabulary {
 public:
  /// `model`: an object of names and ids, or for Unigram a list of names and scores in the order of
  /// their ids. Throws Error naming the entry at fault.
  ModelVocabulary(const JsonSection& model, TokenizerModel kind);

  /// Id of the token `name`; -1 if there is none.
  [[nodiscard]] int32_t find(std::string_view name) const;

  /// The same for a token that the file needs: Error if there is none, with what place() says of
  /// where it is named.
  [[nodiscard]] int32_t get(std::string_view name, const auto& place) const {
    const int32_t id = find(name);
    if (id < 0) fail("{}, but 'model.vocab' has no token {}", place(), shown_json(name));
    return id;
  }

  /// Sets tokens, scores and added tokens of `spec`.
  ///
  /// Added tokens outside the vocabulary get the next free ids, in their order, as in Hugging
  /// Face's library: the ids that the file gives them count only where it gives the vocabulary's.
  /// One that is listed again takes the later flags.
  void set_tokens(const JsonSection& root, bool byte_level, TokenizerSpec& spec) const;

 private:
  void add(std::string_view name, int32_t id);

  std::vector<std::pair<std::string_view, int32_t>> entries_;
  std::unordered_map<std::string_view, int32_t> ids_;
  std::vector<double> scores_;  // [V] of Unigram
  int32_t end_ = 0;             // one behind the highest id
};

}  // namespace evo::tokenizer
