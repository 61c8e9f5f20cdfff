#include "decode/draft/window_source.h"

#include <utility>

#include "ops/embedding.h"

namespace evo::decode {

void WindowSource::keep(std::vector<EvolvingToken> window, const tensor::Tensor& h,
                        const DraftChain& drafts, int64_t accepted, int32_t last) {
  state_.assign(model_.config().inner_size, 0.0f);
  if (accepted == drafts.size()) {
    pool_ = std::move(window);
    if (pool_.empty()) return;
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    for (int64_t i = 0; i < size(); ++i) {
      pool_[i].h = ops::slice_rows(tape, h, i, i + 1);
    }
    model_.inner_step(pool_.front().h, last, state_);
    pool_.erase(pool_.begin());
  } else if (drafts.kind() == DraftKind::kWindow) {
    state_ = pool_[accepted].inner_state;
    pool_.erase(pool_.begin(), pool_.begin() + accepted + 1);
  }
}

void WindowSource::propose(std::span<DraftRequest> requests, Faults& faults) const {
  for (DraftRequest& request : requests) {
    faults.attempt(request.session,
                   [&] { static_cast<WindowSource*>(request.source)->propose_next(request); });
  }
}

void WindowSource::propose_next(DraftRequest& request) {
  EvolvingToken& token = pool_[request.chain->size()];
  const tensor::Tensor o = model_.inner_step(token.h, request.chain->previous(), state_);
  token.inner_state = state_;
  request.proposal =
      request.proposer->of_evolving(token, o, request.rank(), request.chain->shaper());
}

}  // namespace evo::decode
