#include "decode/session/sequence.h"

#include <algorithm>

#include "base/error.h"

namespace evo::decode {

Sequence::Sequence(const model::ModelConfig& config, const DecodeOptions& options, Prompt prompt,
                   EndTokens ends, model::KvCache cache)
    : cache_(std::move(cache)),
      known_(cache_.length()),
      text_(std::move(prompt.tokens)),
      positions_(std::move(prompt.positions)),
      prompt_size_(text_.size()),
      ends_(std::move(ends)),
      shaper_(options.shape, text_) {
  EVO_CHECK(!text_.empty() && text_.size() == positions_.size());
  EVO_CHECK(cache_.length() < size());
  const int64_t context = config.max_position_embeddings, used = size();
  const int64_t reach = *std::ranges::max_element(positions_);
  if (used >= context || reach >= context) {
    fail(
        "the prompt has {} tokens and, with the room for what is generated, reaches to position "
        "{}, "
        "but this model's context is {} and must hold at least one more: shorten it{}",
        used, reach, context, reach >= used ? ", or lower --max-tokens" : "");
  }
  end_of_room_ = used + std::min({options.max_tokens, prompt.room, context - used,
                                  context - 1 - positions_.back()});
}

int32_t Sequence::place(int64_t rank) const {
  const int64_t behind = rank - std::ssize(positions_);
  return behind < 0 ? positions_[rank] : positions_.back() + 1 + static_cast<int32_t>(behind);
}

int64_t Sequence::unread() const {
  return std::max<int64_t>(0, static_cast<int64_t>(prompt_size_) - 1 - cache_.length());
}

bool Sequence::commit(int32_t token) {
  if (done()) return false;
  if (ends_.has(token)) {
    ended_ = true;
    return false;
  }
  text_.push_back(token);
  shaper_.advance(token);
  ended_ = shaper_.is_final();
  return true;
}

void Sequence::append_prompt(model::ForwardInput& input, int32_t index, int64_t rows) const {
  for (int64_t r = cache_.length(), end = r + rows; r < end; ++r) {
    append_token(input, index, r, text_[r]);
  }
}

void Sequence::append_tokens(model::ForwardInput& input, int32_t index,
                             std::span<const int32_t> drafts) const {
  append_prompt(input, index, size() - cache_.length());
  for (int64_t i = 0; i < std::ssize(drafts); ++i) {
    append_token(input, index, size() + i, drafts[i]);
  }
}

void Sequence::append_token(model::ForwardInput& input, int32_t index, int64_t rank,
                            int32_t token) const {
  input.ids.push_back(token);
  input.positions.push_back(place(rank));
  input.ranges.push_back({0, static_cast<int32_t>(rank) + 1, 0, 0});
  input.sequences.push_back(index);
}

}  // namespace evo::decode
