// What a tokenizer does to text before it is cut into words: Hugging Face's normalizers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace evo::tokenizer {

/// May be shared by threads.
class Normalizer {
 public:
  /// `json`: the "normalizer" of a tokenizer.json: null, NFC, NFD, NFKC, NFKD, Lowercase, Prepend,
  /// Replace, Strip, StripAccents, Nmt, BertNormalizer, Precompiled, or a Sequence of them. Throws
  /// Error naming what is damaged or not supported.
  explicit Normalizer(const std::string& json);
  ~Normalizer();
  Normalizer(Normalizer&&) noexcept;
  Normalizer& operator=(Normalizer&&) noexcept;

  bool is_identity() const { return steps_.empty(); }

  /// The normalized text: a view of `text` itself or of `memory`, which it overwrites. Bytes that
  /// are not UTF-8 stay as they are. Throws Error if the text would grow beyond reason.
  std::string_view apply(std::string_view text, std::string& memory) const;

  /// Equal for normalizers that do the same, whatever else their JSON says.
  std::string signature() const;

  /// True if a text and its parts, cut between an ASCII letter or digit and a space, get the same.
  bool keeps_parts_apart() const;

 private:
  struct Step;
  std::vector<Step> steps_;
};

}  // namespace evo::tokenizer
