// From token ids to text: Hugging Face's decoders.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evo::tokenizer {

/// What the beginning of a decoded text loses: up to `count` times `content`.
struct LeadingRule {
  std::string content;
  int count = 0;
};

/// Ids are decoded one by one, so that text can be shown as it comes: every supported decoder has a
/// text for each token, and a rule for the beginning of the whole.
class TextDecoder {
 public:
  /// `json`: the "decoder" of a tokenizer.json: ByteLevel, or Replace, ByteFallback, Metaspace,
  /// WordPiece, Fuse and Strip in a Sequence, or null: spaces between the tokens. Throws Error
  /// naming what is damaged or not supported.
  TextDecoder(const std::string& json, bool byte_level);

  /// The bytes of a token; nothing if they are the token's own text.
  std::optional<std::string> bytes_of(std::string_view token) const;

  const LeadingRule& leading() const { return leading_; }

 private:
  struct Step {
    // kWord: a space goes before the token unless it begins with `pattern`, which is taken off.
    enum class Kind { kReplace, kByteFallback, kStrip, kWord } kind{};
    std::string pattern{}, content{};
    int left = 0, right = 0;
  };
  friend class DecoderReader;

  std::vector<Step> steps_;
  LeadingRule leading_;
};

/// The byte of a token named <0x00> to <0xFF>.
std::optional<char> byte_of_token(std::string_view token);

}  // namespace evo::tokenizer
