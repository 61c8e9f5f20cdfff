#include "serve/api/own_texts.h"

#include <algorithm>

namespace evo::serve {

int64_t OwnTexts::known(std::span<const int32_t> prompt) const {
  const std::scoped_lock lock(mutex_);
  int64_t longest = 0;
  for (const std::vector<int32_t>& text : texts_) {
    const auto end = std::ranges::mismatch(prompt, text).in1;
    longest = std::max<int64_t>(longest, end - prompt.begin());
  }
  return longest;
}

void OwnTexts::add(std::vector<int32_t> text) {
  const std::scoped_lock lock(mutex_);
  tokens_ += text.size();
  texts_.push_front(std::move(text));
  while (tokens_ > most_) {
    tokens_ -= texts_.back().size();
    texts_.pop_back();
  }
}

}  // namespace evo::serve
