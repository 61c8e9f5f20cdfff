#include "decode/draft/ahead_source.h"

#include <vector>

#include "ops/embedding.h"

namespace evo::decode {

void AheadSource::begin(const tensor::Tensor& h) {
  h_ = h;
  state_ = tensor::Tensor::zeros({1, decoder_.model().config().ahead_states()});
}

void AheadSource::propose(std::span<DraftRequest> requests, Faults& faults) const {
  const auto source = [](const DraftRequest& request) {
    return static_cast<AheadSource*>(request.source);
  };
  const model::Model& model = decoder_.model();
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  tensor::Tensor h = source(requests.front())->h_, states = source(requests.front())->state_;
  std::vector<int32_t> previous, positions;
  std::vector<const model::KvCache*> caches;
  for (const DraftRequest& request : requests) {
    if (&request != &requests.front()) {
      h = ops::concat_rows(tape, h, source(request)->h_);
      states = ops::concat_rows(tape, states, source(request)->state_);
    }
    previous.push_back(request.chain->previous());
    positions.push_back(request.sequence->place(request.rank() - 1));
    caches.push_back(&request.sequence->cache());
  }
  const tensor::Tensor o = model.ahead_step(h, previous, positions, caches, states);
  const tensor::Tensor logits =
      decoder_.logits(tape, o, model.ahead_unembedding(), nullptr, model.ahead_tokens());
  for (int64_t i = 0; i < std::ssize(requests); ++i) {
    DraftRequest& request = requests[i];
    source(request)->state_ = ops::slice_rows(tape, states, i, i + 1);
    faults.attempt(request.session, [&] {
      request.proposal = request.proposer->of_ahead(ops::slice_rows(tape, o, i, i + 1),
                                                    ops::slice_rows(tape, logits, i, i + 1),
                                                    request.rank(), request.chain->shaper());
    });
  }
}

}  // namespace evo::decode
