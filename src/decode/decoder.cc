#include "decode/decoder.h"

#include <algorithm>

#include "decode/sampling/shaper.h"

namespace evo::decode {

Decoder::Decoder(const model::Model& model, bool measure)
    : model_(model),
      measure_(measure),
      exact_policy_(measure ? DraftPolicy(times_, model.config().drafts_ahead())
                            : DraftPolicy(nominal_, 1, model.config().drafts_ahead())) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  if (model.config().flow) codes_ = model.codes(tape);
  for (const int64_t id : model.config().eos_token_ids) ends_.add(static_cast<int32_t>(id));
}

Decoder::Decoder(const model::Model& model, const tokenizer::Tokenizer& tokenizer, bool measure)
    : Decoder(model, measure) {
  for (int32_t id = 0; id < static_cast<int32_t>(model.config().vocab_size); ++id) {
    if (!tokenizer.has(id)) absent_.push_back(id);
  }
  const auto known = [&](int32_t id) { return tokenizer.has(id); };
  if (std::ranges::none_of(ends_.tokens(), known)) ends_.add(tokenizer.end_of_text());
}

tensor::Tensor Decoder::logits(tensor::Tape& tape, const tensor::Tensor& x,
                               const ops::Unembedding& unembed, const ops::PosteriorTerm* term,
                               std::span<const int32_t> tokens) const {
  tensor::Tensor logits = ops::head_logits(tape, x, 0, x.rows(), unembed, term);
  if (absent_.empty()) return logits;
  std::vector<int32_t> columns;  // of the absent tokens
  if (tokens.empty()) {
    columns = absent_;
  } else {  // usually the absent ones come last, and none of them is here
    const auto first = std::ranges::lower_bound(tokens, absent_.front());
    for (auto it = first; it != tokens.end(); ++it) {
      if (std::ranges::binary_search(absent_, *it)) {
        columns.push_back(static_cast<int32_t>(it - tokens.begin()));
      }
    }
  }
  for (int64_t row = 0; row < logits.rows(); ++row) {
    for (const int32_t column : columns) logits.row(row)[column] = kNeverLogit;
  }
  return logits;
}

void Decoder::learn(const PassRun& run, int64_t sessions, int64_t accepted) const {
  EVO_CHECK(measure_ && sessions > 0);
  const auto count = static_cast<double>(sessions);
  const bool is_plain = !run.drafts() && run.rows <= count;
  if (is_plain) {
    times_.learn_plain(run);
  } else {
    times_.learn(run);
  }
  const PassCost& cost = times_.cost();
  double multiple = 1;
  if (!is_plain) {
    const double plain = cost.pass(count, count);
    constexpr double kDisturbed = 4;  // by other programs, who cannot be charged to drafts
    const double expected = cost.pass(run.rows, run.heads) +
                            run.window_steps * cost.draft(DraftKind::kWindow) +
                            run.ahead_steps * cost.draft(DraftKind::kAhead);
    multiple = std::min(run.total_seconds(), kDisturbed * expected) / plain;
  }
  exact_policy_.settle(multiple, 1 + static_cast<double>(accepted) / count);
}

}  // namespace evo::decode
