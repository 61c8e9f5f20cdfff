#include "eval/likelihood.h"

#include <algorithm>
#include <numbers>

#include "flow/elbo.h"

namespace evo::eval {

LikelihoodResult likelihood(const model::Model& model, const tokenizer::Tokenizer& tokenizer,
                            std::span<const int32_t> tokens, const LikelihoodOptions& options,
                            const std::function<void(int64_t tokens)>& on_progress) {
  const Scorer scorer(model, options.score);
  auto total = static_cast<int64_t>(tokens.size()) - 1;
  if (options.limit > 0) total = std::min(total, options.limit);
  if (total < 1) fail("the text has {} tokens: expected at least 2 to score", tokens.size());

  LikelihoodResult result;
  flow::RunningMean windows;
  double nats = 0;
  for (int64_t begin = 0; begin < total;) {
    const int64_t length = std::min(options.context, total - begin);
    const int64_t count = std::clamp<int64_t>((total - begin) / length, 1, options.batch);
    std::vector<ScoreRequest> requests;
    for (int64_t w = 0; w < count; ++w) {
      const auto window = tokens.subspan(begin + w * length, length + 1);
      requests.push_back({window.first(1), window.subspan(1)});
    }
    for (const TokenScores& score : scorer.score(requests, static_cast<uint64_t>(begin))) {
      nats += score.total();
      windows.add(score.total() / static_cast<double>(length));
    }
    for (const ScoreRequest& request : requests) {
      for (const int32_t target : request.continuation) {
        if (target != tokenizer.end_of_text())
          result.bytes += static_cast<int64_t>(tokenizer.token_bytes(target).size());
      }
    }
    begin += count * length;
    result.tokens = begin;
    if (on_progress) on_progress(begin);
  }
  result.nats_per_token = nats / static_cast<double>(total);
  result.bits_per_byte =
      nats / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(1, result.bytes));
  result.standard_error = windows.standard_error();
  result.bound = scorer.is_bound();
  return result;
}

}  // namespace evo::eval
