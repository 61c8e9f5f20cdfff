// The committed text of a session: its tokens, where they stand, and what the cache knows of them.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "decode/options.h"
#include "decode/prompt.h"
#include "decode/sampling/end_tokens.h"
#include "decode/sampling/shaper.h"
#include "model/model.h"

namespace evo::decode {

class Sequence {
 public:
  /// Throws Error if the prompt leaves no room for a token in the context. `cache` holds a
  /// beginning of the prompt, the last token excluded.
  Sequence(const model::ModelConfig& config, const DecodeOptions& options, Prompt prompt,
           EndTokens ends, model::KvCache cache);

  /// Prompt and generated tokens, in the order in which the network sees them: by rank.
  [[nodiscard]] std::span<const int32_t> text() const { return text_; }
  [[nodiscard]] std::span<const int32_t> generated() const { return text().subspan(prompt_size_); }
  [[nodiscard]] int64_t size() const { return std::ssize(text_); }
  [[nodiscard]] std::span<const int32_t> prompt_positions() const { return positions_; }
  /// Where the token of this rank stands in the text.
  [[nodiscard]] int32_t place(int64_t rank) const;
  [[nodiscard]] const EndTokens& ends() const { return ends_; }
  /// Of the token after the committed ones.
  [[nodiscard]] const Shaper& shaper() const { return shaper_; }

  [[nodiscard]] int64_t room() const { return end_of_room_ - size(); }  ///< tokens that still fit
  [[nodiscard]] bool ended() const { return ended_; }                   ///< by an end token
  [[nodiscard]] bool done() const { return ended_ || room() <= 0; }
  /// Tokens of the prompt that the cache must get before a pass can generate: all but the last one.
  [[nodiscard]] int64_t unread() const;
  [[nodiscard]] int64_t known() const { return known_; }  ///< that it had at the beginning

  /// Whether the token is part of the text now: it may end it instead, or come too late.
  bool commit(int32_t token);

  /// Adds the next `rows` tokens of the prompt to a pass, as those of sequence `index`.
  void append_prompt(model::ForwardInput& input, int32_t index, int64_t rows) const;
  /// Adds what was committed since the last pass, and drafts behind it.
  void append_tokens(model::ForwardInput& input, int32_t index,
                     std::span<const int32_t> drafts) const;

  [[nodiscard]] model::KvCache& cache() { return cache_; }
  [[nodiscard]] const model::KvCache& cache() const { return cache_; }

 private:
  void append_token(model::ForwardInput& input, int32_t index, int64_t rank, int32_t token) const;

  model::KvCache cache_;  // of the first cache_.length() tokens
  int64_t known_;
  std::vector<int32_t> text_;       // in rank order
  std::vector<int32_t> positions_;  // of the prompt
  size_t prompt_size_;
  EndTokens ends_;
  int64_t end_of_room_;  // rank at which no token fits any more
  Shaper shaper_;
  bool ended_ = false;
};

}  // namespace evo::decode
