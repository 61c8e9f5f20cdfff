// How texts are cut into words, under the names that GGUF files have for it (tokenizer.ggml.pre).
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evo::tokenizer {

/// What the tokenizer.json of the models of such a name says, in which llama.cpp's own way of
/// cutting may differ.
struct GgufPattern {
  std::vector<std::string_view> names;     ///< the first is the one to write
  std::vector<std::string_view> patterns;  ///< each cuts what those before it left
  bool composed = false;                   ///< Unicode's NFC comes first
  bool ignore_merges = false;              ///< see TokenizerSpec
  bool begins = false;  ///< a text gets the begin token, unless the file says otherwise

  /// The "pre_tokenizer" and the "normalizer" of a tokenizer.json.
  [[nodiscard]] std::string pre_tokenizer() const;
  [[nodiscard]] std::string normalizer() const;
};

/// nullptr if there is none of that name.
[[nodiscard]] const GgufPattern* find_gguf_pattern(std::string_view name);
/// The one that cuts as a byte-level tokenizer.json says; nullptr if none does. Of those the one
/// with the same normalizer, if there is one: llama.cpp has none at all, so that it makes no
/// difference there.
[[nodiscard]] const GgufPattern* gguf_pattern_of(const std::string& pre_tokenizer,
                                                 const std::string& normalizer, bool ignore_merges);
[[nodiscard]] std::string gguf_pattern_names();

}  // namespace evo::tokenizer
