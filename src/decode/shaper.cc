#include "decode/shaper.h"

#include <limits>

#include "base/error.h"

namespace evo::decode {

std::span<const float> Shaper::shape(std::span<const float> logits,
                                     std::vector<float>& storage) const {
  if (is_idle()) return logits;
  storage.assign(logits.begin(), logits.end());
  const auto add = [&](int32_t token, double change) {
    if (token < 0 || static_cast<size_t>(token) >= storage.size()) {
      fail("a bias is for the token {}, but the model has {}", token, storage.size());
    }
    storage[token] += static_cast<float>(change);
  };
  for (const auto& [token, bias] : options_.bias) add(token, bias);
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
