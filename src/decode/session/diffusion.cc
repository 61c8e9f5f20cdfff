#include "decode/session/diffusion.h"

#include <algorithm>
#include <vector>

#include "ops/embedding.h"
#include "ops/head.h"
#include "ops/softmax.h"

namespace evo::decode {

/// p(w | z) [W, V] of every token of the window by itself; its E[c | z] is what the next pass is
/// told.
tensor::Tensor Diffusion::evolve_codes(const tensor::Tensor& h, EvolvingWindow& window) const {
  const model::Model& model = decoder_.model();
  const int64_t size = window.size();
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  std::vector<float> kappa;
  const tensor::Tensor z = tensor::Tensor::empty({size, model.config().code_size});
  for (const EvolvingToken& token : window.tokens()) {
    std::ranges::copy(token.z, z.row(std::ssize(kappa)));
    kappa.push_back(static_cast<float>(model.time().kappa(token.time)));
  }
  const ops::PosteriorTerm term{z, kappa, decoder_.codes()};
  const tensor::Tensor means =
      ops::head(tape, h, 0, size, model.unembedding(), &term, nullptr).mean_code;
  tensor::Tensor p = decoder_.logits(tape, h, model.unembedding(), &term);
  for (int64_t i = 0; i < size; ++i) {
    EvolvingToken& token = window.tokens()[i];
    token.previous_x.assign(means.row(i), means.row(i) + means.cols());
    const ops::SoftmaxRow softmax = ops::softmax_row(p.row(i), p.cols());
    ops::scale_row(p.row(i), p.cols(), static_cast<float>(1 / softmax.sum));
  }
  return p;
}

/// The hypothesis is one joint draft of the window, left to right, around what is ripe. However
/// sure a draft is, given those before it, these may be wrong: it is no more mature than it is
/// likely without them.
void Diffusion::propose(const tensor::Tensor& h, const Sequence& sequence,
                        EvolvingWindow& window) const {
  const model::Model& model = decoder_.model();
  const tensor::Tensor marginals = evolve_codes(h, window);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  int32_t previous = sequence.text().back();
  Shaper shaper = sequence.shaper();
  std::vector<float> state(static_cast<size_t>(model.config().inner_size), 0.0f);
  for (int64_t i = 0; i < window.size(); ++i) {
    EvolvingToken& token = window.tokens()[i];
    token.h = ops::slice_rows(tape, h, i, i + 1);
    const tensor::Tensor o = model.inner_step(token.h, previous, state);
    if (!token.ripe) {
      token.proposal = proposer_.of_evolving(token, o, sequence.size() + i, shaper);
      const float alone = marginals.row(i)[token.proposal.token];
      token.proposal.maturity = std::min(token.proposal.maturity, alone);
    }
    previous = token.proposal.token;
    shaper.advance(previous);
  }
}

void Diffusion::ripen(EvolvingWindow& window) const {
  std::vector<EvolvingToken*> unripe;
  for (EvolvingToken& token : window.tokens()) {
    if (!token.ripe) unripe.push_back(&token);
  }
  std::ranges::stable_sort(unripe, [](const EvolvingToken* a, const EvolvingToken* b) {
    return a->proposal.maturity > b->proposal.maturity;
  });
  const int64_t size = window.size(), ripe = size - std::ssize(unripe);
  const int64_t due = (size * window.age() + options_.steps - 1) / options_.steps - ripe;
  for (int64_t i = 0; i < std::ssize(unripe); ++i) {
    EvolvingToken& token = *unripe[i];
    if (i >= due && token.proposal.maturity < options_.commit_maturity) break;
    window.move(token, token.proposal.token, decoder_.model().time().min_time());
    token.ripe = true;
  }
}

bool Diffusion::is_ripe(const Sequence& sequence, EvolvingWindow& window) const {
  const std::vector<EvolvingToken>& tokens = window.tokens();
  const auto first_open =
      std::ranges::find_if(tokens, [](const EvolvingToken& token) { return !token.ripe; });
  const auto first_end = std::find_if(tokens.begin(), first_open, [&](const EvolvingToken& token) {
    return sequence.ends().has(token.proposal.token);
  });
  return first_open == tokens.end() || first_end != first_open;
}

}  // namespace evo::decode
