#include "decode/session/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/softmax.h"

namespace evo::decode {

std::vector<int32_t> likeliest(std::span<const float> logits, size_t at_most) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const size_t count = std::min(at_most, order.size());
  std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(count),
                            [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  order.resize(count);
  return order;
}

std::vector<TokenLogprob> token_logprobs(std::span<const int32_t> tokens,
                                         std::span<const float> logits, size_t vocabulary,
                                         size_t alternatives) {
  std::vector<TokenLogprob> all;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto row = logits.subspan(i * vocabulary, vocabulary);
    std::vector<float> exponentials(row.begin(), row.end());
    const ops::SoftmaxRow softmax = ops::softmax_row(exponentials.data(), std::ssize(row));
    const auto logprob = [&](int32_t token) {
      return static_cast<float>(row[token] - softmax.max - std::log(softmax.sum));
    };
    TokenLogprob& added = all.emplace_back();
    added.token = tokens[i];
    added.logprob = logprob(added.token);
    for (const int32_t token : likeliest(row, alternatives)) {
      added.top.emplace_back(token, logprob(token));
    }
  }
  return all;
}

}  // namespace evo::decode
