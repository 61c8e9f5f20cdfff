// Drafts without a window: the field ahead of the last mature token, from its hidden state and the
// cache. All texts of a pass draft in step: a step of several costs little more than that of one.
#pragma once

#include <span>

#include "decode/draft/draft_source.h"

namespace evo::decode {

class AheadSource final : public DraftSource {
 public:
  explicit AheadSource(const Decoder& decoder) : decoder_(decoder) {}

  /// h [1, D] of the last mature row.
  void begin(const tensor::Tensor& h);

  void propose(std::span<DraftRequest> requests, Faults& faults) const override;

 private:
  const Decoder& decoder_;
  tensor::Tensor h_, state_;  // [1, D], [1, states] of the recurrence
};

}  // namespace evo::decode
