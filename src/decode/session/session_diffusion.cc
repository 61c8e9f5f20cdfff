// A window that ripens without verification.
#include <algorithm>
#include <cmath>

#include "decode/session/session.h"
#include "flow/bridge.h"
#include "ops/embedding.h"
#include "ops/head.h"
#include "ops/softmax.h"

namespace evo {

/// A window of what is to be changed is as old as its times say.
int64_t Session::first_age() const {
  if (std::ssize(generated()) >= std::ssize(sketch_)) return 0;
  const int64_t age = std::lround((1 - sketch_time_) * static_cast<double>(options_.steps));
  return std::min(age, options_.steps - 1);
}

/// The evolving token that will be the generated token number `index`.
Session::WindowToken Session::fresh_token(int64_t index) {
  const auto width = static_cast<size_t>(model_.config().code_size);
  WindowToken fresh;
  fresh.z.resize(width);
  random_.fill_normal(fresh.z);
  fresh.previous_x.assign(width, 0.0f);
  if (index >= std::ssize(sketch_)) return fresh;
  fresh.time = static_cast<float>(sketch_time_);
  const float* code = decoder_.codes().row(sketch_[at(index)]);
  blend(add_noise(model_.time().signal(sketch_time_)), fresh.z, {code, width}, fresh.z, fresh.z);
  return fresh;
}
/// One step of the flow for the window.
void Session::evolve_window(const Tensor& h, PassTrace& trace) {
  const Tensor marginals = evolve_codes(h);
  propose_window(h, marginals);
  for (int64_t i = 0; i < std::ssize(window_); ++i) {
    const WindowToken& token = window_[at(i)];
    trace.tokens.push_back(trace_of(token, token.proposal, std::ssize(text_) + i));
  }
  ++window_age_;
  ripen_surest();
  commit_ripe_window(trace);
}

/// p(w | z) [W, V] of every token of the window by itself; its E[c | z] is what the next pass is
/// told.
Tensor Session::evolve_codes(const Tensor& h) {
  const int64_t size = std::ssize(window_);
  Tape tape(Tape::Mode::kInference);
  std::vector<float> kappa;
  Tensor z = Tensor::empty({size, model_.config().code_size});
  for (int64_t i = 0; i < size; ++i) {
    const WindowToken& token = window_[at(i)];
    kappa.push_back(static_cast<float>(model_.time().kappa(token.time)));
    std::ranges::copy(token.z, z.row(i));
  }
  const PosteriorTerm term{z, kappa, decoder_.codes()};
  const Tensor means = head(tape, h, 0, size, model_.unembedding(), &term, nullptr).mean_code;
  Tensor p = decoder_.logits(tape, h, model_.unembedding(), &term);
  for (int64_t i = 0; i < size; ++i) {
    window_[at(i)].previous_x.assign(means.row(i), means.row(i) + means.cols());
    const SoftmaxRow softmax = softmax_row(p.row(i), p.cols());
    scale_row(p.row(i), p.cols(), static_cast<float>(1 / softmax.sum));
  }
  return p;
}

/// The hypothesis is one joint draft of the window, left to right, around what is ripe. However
/// sure a draft is, given those before it, these may be wrong: it is no more mature than it is
/// likely without them.
void Session::propose_window(const Tensor& h, const Tensor& marginals) {
  Tape tape(Tape::Mode::kInference);
  int32_t previous = text_.back();
  Shaper shaper = shaper_;
  std::vector<float> state(static_cast<size_t>(model_.config().inner_size), 0.0f);
  for (int64_t i = 0; i < std::ssize(window_); ++i) {
    WindowToken& token = window_[at(i)];
    token.h = slice_rows(tape, h, i, i + 1);
    const Tensor o = model_.inner_step(token.h, previous, state);
    if (!token.ripe) {
      token.proposal = propose(token, o, std::ssize(text_) + i, shaper);
      const float alone = marginals.row(i)[token.proposal.token];
      token.proposal.maturity = std::min(token.proposal.maturity, alone);
    }
    previous = token.proposal.token;
    shaper.advance(previous);
  }
}

/// As many ripe tokens as the window's age asks for, or more if the model is sure of more.
void Session::ripen_surest() {
  std::vector<WindowToken*> unripe;
  for (WindowToken& token : window_) {
    if (!token.ripe) unripe.push_back(&token);
  }
  std::ranges::stable_sort(unripe, [](const WindowToken* a, const WindowToken* b) {
    return a->proposal.maturity > b->proposal.maturity;
  });
  const int64_t size = std::ssize(window_), ripe = size - std::ssize(unripe);
  const int64_t due = (size * window_age_ + options_.steps - 1) / options_.steps - ripe;
  for (int64_t i = 0; i < std::ssize(unripe); ++i) {
    WindowToken& token = *unripe[at(i)];
    if (i >= due && token.proposal.maturity < options_.commit_maturity) break;
    move_token(token, token.proposal.token, model_.time().min_time());
    token.ripe = true;
  }
}

/// What stands behind the end of the text need not be ripe.
void Session::commit_ripe_window(PassTrace& trace) {
  const auto is_open = [&](const WindowToken& token) { return !token.ripe; };
  const auto first_open = std::ranges::find_if(window_, is_open);
  const auto ends = [&](const WindowToken& token) { return token.proposal.token == end_; };
  const auto first_end = std::ranges::find_if(window_.begin(), first_open, ends);
  if (first_open != window_.end() && first_end == first_open) return;
  for (const WindowToken& token : window_) commit(token.proposal.token, trace);
  window_.clear();
  window_age_ = 0;
}

/// The exact bridge from z at the token's time to the hypothesis' code at time `to`.
void Session::move_token(WindowToken& token, int32_t hypothesis, double to) {
  const double from = token.time;
  const BridgeCoefficients coefficients =
      bridge(model_.time().signal(from), model_.time().signal(std::min(from, to)));
  std::vector<float> noise(token.z.size());
  random_.fill_normal(noise);
  blend(coefficients, token.z, {decoder_.codes().row(hypothesis), token.z.size()}, noise, token.z);
  token.time = static_cast<float>(std::min(from, to));
}

}  // namespace evo
