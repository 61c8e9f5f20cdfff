// In which order the sequences of one source come: a pure function of their number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/tokens.h"

namespace evo::data {

/// A keyed bijection of [0, size): a Feistel network on the next power of four, walked until the
/// value falls inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
class Permutation {
 public:
  Permutation(uint64_t size, uint64_t seed, uint64_t stream);
  [[nodiscard]] uint64_t operator()(uint64_t index) const;  ///< index < size

 private:
  [[nodiscard]] uint64_t encrypt(uint64_t value) const;  // on [0, 2^(2 half_bits_))

  uint64_t size_, key_;
  int half_bits_;
};

/// What sequences are cut from.
struct LoaderOptions {
  int64_t begin = 0, end = 0;  ///< tokens of the file
  int64_t length = 0;          ///< of a sequence, which has one token more
  int64_t vocab_size = 0;
  uint64_t seed = 1;
  bool shuffle = true;  ///< false: order and phase are those of the text
  /// Id of the token before and after every document: sequences begin with it and hold as many
  /// whole documents as fit, and the beginning of the next; -1: they begin anywhere.
  int32_t separator = -1;
};

/// Windows of length + 1 tokens. A window's last token is the first of the next one, so that a
/// token is a target at most once per epoch; fewer than 2 * length tokens at the ends are not. In
/// an epoch every window comes exactly once; order and phase (where the first window starts) change
/// from epoch to epoch. With a separator, a document that does not fit comes again as the next
/// window's first, and the phase is always 0.
class SequenceOrder {
 public:
  /// `name` is what messages call [begin, end) of `tokens`. Throws Error if that is shorter than
  /// one window.
  SequenceOrder(const TokenFile& tokens, const LoaderOptions& options, const std::string& name);

  /// Position of the first token of sequence `index` >= 0 (epoch index / sequences_per_epoch()).
  [[nodiscard]] int64_t start_of(int64_t index) const;
  [[nodiscard]] int64_t sequences_per_epoch() const { return per_epoch_; }

 private:
  void find_documents(const TokenFile& tokens, const std::string& name);

  LoaderOptions options_;
  int64_t per_epoch_ = 0, phases_ = 1;
  std::vector<int64_t> starts_;  // of the windows, with a separator
};

}  // namespace evo::data
