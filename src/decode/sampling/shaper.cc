#include "decode/sampling/shaper.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace evo::decode {

Shaper::Shaper(ShapeOptions options, std::span<const int32_t> prompt)
    : options_(std::move(options)) {
  if (options_.repetition_penalty == 1) return;
  auto tokens = std::make_shared<std::vector<int32_t>>(prompt.begin(), prompt.end());
  std::ranges::sort(*tokens);
  tokens->erase(std::unique(tokens->begin(), tokens->end()), tokens->end());
  prompt_ = std::move(tokens);
}

std::span<const float> Shaper::shape(std::span<const float> logits,
                                     std::vector<float>& storage) const {
  if (is_idle()) return logits;
  storage.assign(logits.begin(), logits.end());
  const auto logit_of = [&](int32_t token) -> float& {
    if (token < 0 || static_cast<size_t>(token) >= storage.size()) {
      fail("a bias is for the token {}, but the model has {}", token, storage.size());
    }
    return storage[static_cast<size_t>(token)];
  };
  const auto add = [&](int32_t token, double change) {
    logit_of(token) += static_cast<float>(change);
  };
  for (const auto& [token, bias] : options_.bias) add(token, bias);
  if (prompt_) {
    const auto penalty = static_cast<float>(options_.repetition_penalty);
    const auto repeat = [&](int32_t token) {
      float& logit = logit_of(token);
      logit = logit < 0 ? logit * penalty : logit / penalty;
    };
    std::ranges::for_each(*prompt_, repeat);
    for (const auto& [token, count] : counts_) {
      if (!std::ranges::binary_search(*prompt_, token)) repeat(token);
    }
  }
  for (const auto& [token, count] : counts_) {
    add(token,
        -options_.presence_penalty - options_.frequency_penalty * static_cast<double>(count));
  }
  if (options_.grammar) {
    std::vector<uint8_t> allowed(storage.size());
    options_.grammar->allowed(allowed);
    for (size_t v = 0; v < storage.size(); ++v) {
      if (allowed[v] == 0) storage[v] = -std::numeric_limits<float>::infinity();
    }
  }
  return storage;
}

void Shaper::advance(int32_t token) {
  if (penalizes()) ++counts_[token];
  if (options_.grammar && !options_.grammar->advance(token)) {
    fail("the text left its grammar: the token {} is not allowed there", token);
  }
}

}  // namespace evo::decode
