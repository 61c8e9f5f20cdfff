// Committed tokens under the model's own distribution.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "decode/session/pass_trace.h"

namespace evo::decode {

/// The `at_most` tokens with the largest logits, largest first.
std::vector<int32_t> likeliest(std::span<const float> logits, size_t at_most);

/// `logits` [tokens or more, vocabulary]: a row for every token, in order. With so many
/// alternatives each.
std::vector<TokenLogprob> token_logprobs(std::span<const int32_t> tokens,
                                         std::span<const float> logits, size_t vocabulary,
                                         size_t alternatives);

}  // namespace evo::decode
