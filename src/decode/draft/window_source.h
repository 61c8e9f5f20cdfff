// Drafts from a window: the inner field reads its hidden states left to right and proposes tokens,
// each given the one before it.
#pragma once

#include <span>
#include <vector>

#include "decode/draft/draft_source.h"

namespace evo::decode {

class WindowSource final : public DraftSource {
 public:
  explicit WindowSource(const model::Model& model) : model_(model) {}

  /// After a pass over drafts and, behind them, a window: keeps the hidden states that remain true.
  /// These are the window's, h [W, D], if all drafts were right, else those that were made before
  /// the rejected draft was seen. The token after the accepted ones takes the place of the first of
  /// them. `last` is the token before the window.
  void keep(std::vector<EvolvingToken> window, const tensor::Tensor& h, const DraftChain& drafts,
            int64_t accepted, int32_t last);
  void clear() { pool_.clear(); }
  /// Drafts that it could make.
  [[nodiscard]] int64_t size() const { return std::ssize(pool_); }

  void propose(std::span<DraftRequest> requests, Faults& faults) const override;

 private:
  void propose_next(DraftRequest& request);

  const model::Model& model_;
  std::vector<EvolvingToken> pool_;  // from the position after the text on
  std::vector<float> state_;         // [R] of the inner field before the next draft
};

}  // namespace evo::decode
