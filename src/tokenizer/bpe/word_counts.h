// Counting the different words of a training text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <unordered_map>

#include "base/process/watcher.h"

namespace evo::tokenizer {

/// A longer word is counted in parts of this many bytes. Without a limit every merge would go
/// through all of a text without spaces; no useful token is longer.
inline constexpr size_t kMaxTrainingWord = 1024;

/// Word -> how often; the keys are views into the texts.
using WordCounts = std::unordered_map<std::string_view, int64_t>;

/// Cuts the texts by kGpt2Pattern and counts the words, on all threads, until stop() is true: then
/// throws Interrupted.
WordCounts count_words(std::span<const std::string_view> texts, bool quiet,
                       const std::function<bool()>& stop = interrupted);

}  // namespace evo::tokenizer
