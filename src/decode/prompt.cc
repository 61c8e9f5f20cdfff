#include "decode/prompt.h"

#include <numeric>
#include <utility>

#include "base/error.h"

namespace evo::decode {

Prompt Prompt::of_text(std::vector<int32_t> tokens) {
  Prompt prompt;
  prompt.positions.resize(tokens.size());
  std::iota(prompt.positions.begin(), prompt.positions.end(), 0);
  prompt.tokens = std::move(tokens);
  return prompt;
}

Prompt Prompt::of_gap(std::vector<int32_t> prefix, std::span<const int32_t> suffix, int64_t room) {
  EVO_CHECK(!prefix.empty());
  if (suffix.empty()) return of_text(std::move(prefix));
  const int32_t edge = prefix.back();
  Prompt prompt = of_text(std::move(prefix));
  const auto before = static_cast<int32_t>(prompt.tokens.size());
  for (int32_t i = 0; i < static_cast<int32_t>(suffix.size()); ++i) {
    prompt.tokens.push_back(suffix[i]);
    prompt.positions.push_back(before + static_cast<int32_t>(room) + i);
  }
  // The last token of the prefix comes again, now with the suffix before its eyes.
  prompt.tokens.push_back(edge);
  prompt.positions.push_back(before - 1);
  prompt.room = room;
  return prompt;
}

}  // namespace evo::decode
