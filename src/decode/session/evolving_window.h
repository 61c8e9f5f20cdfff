// The evolving tokens of the coming pass, behind the text and its drafts.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "decode/draft/proposer.h"
#include "decode/session/sequence.h"

namespace evo::decode {

class EvolvingWindow {
 public:
  /// Both must outlive the object.
  EvolvingWindow(const Decoder& decoder, const DecodeOptions& options);

  /// From now on fresh tokens begin as `tokens`, made noisy to time t in (0, 1], instead of as pure
  /// noise.
  void begin_from(std::vector<int32_t> tokens, double t);

  /// Brings it to this size; its first token will be the generated one of number `first`.
  void fill(int64_t size, int64_t first);
  void clear() { tokens_.clear(); }
  /// The tokens, which it has no more.
  std::vector<EvolvingToken> take() { return std::exchange(tokens_, {}); }

  [[nodiscard]] std::vector<EvolvingToken>& tokens() { return tokens_; }
  [[nodiscard]] int64_t size() const { return std::ssize(tokens_); }
  /// Passes that it has seen, or would have to be as ripe as what it began from.
  [[nodiscard]] int64_t age() const { return age_; }
  void grow_older() { ++age_; }

  /// The exact bridge from z at the token's time to the hypothesis' code at time `to`.
  void move(EvolvingToken& token, int32_t hypothesis, double to);

  /// Adds its rows to a pass, as those of sequence `index`, behind so many drafts.
  void append(model::ForwardInput& input, int32_t index, const Sequence& sequence,
              int64_t drafts) const;

 private:
  [[nodiscard]] int64_t first_age(int64_t first) const;
  [[nodiscard]] EvolvingToken fresh_token(int64_t number);

  const Decoder& decoder_;
  const DecodeOptions& options_;
  std::vector<EvolvingToken> tokens_;
  int64_t age_ = 0;
  std::vector<int32_t> sketch_;
  double sketch_time_ = 1;
  Random random_;
};

}  // namespace evo::decode
