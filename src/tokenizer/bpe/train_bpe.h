// Learns a byte-level BPE vocabulary from text.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/process/watcher.h"
#include "tokenizer/tokenizer.h"

namespace evo::tokenizer {

struct BpeTrainingOptions {
  int32_t vocab_size = 4096;                 ///< 256 bytes + merges + <|endoftext|>: at least 257
  int32_t min_count = 2;                     ///< a pair seen less often than this is not merged
  bool quiet = false;                        ///< no progress line
  std::function<bool()> stop = interrupted;  ///< asked now and then; true: throws Interrupted
};

/// Joins, again and again, the most frequent pair of neighbouring tokens inside words. Of equally
/// frequent pairs it takes the greatest: by the bytes of the left token, then of the right one.
/// The result depends on the texts and options only, not on threads or on the order of the texts.
/// If the texts hold too few different pairs, the vocabulary is smaller than asked, with a warning.
/// Throws Error if the texts hold no byte at all or an option is out of range.
Tokenizer train_bpe(std::span<const std::string_view> texts, const BpeTrainingOptions& options);

}  // namespace evo::tokenizer
