// Verification of drafts, and new ones.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "decode/session/session.h"
#include "ops/embedding.h"
#include "ops/head.h"
#include "ops/maturity.h"
#include "ops/softmax.h"

namespace evo {
namespace {

constexpr size_t kTraceTop = 5;

std::vector<int32_t> likeliest(std::span<const float> logits, size_t at_most) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const size_t count = std::min(at_most, order.size());
  std::ranges::partial_sort(
      order, order.begin() + static_cast<std::ptrdiff_t>(count), [&](int32_t a, int32_t b) {
        return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
      });
  order.resize(count);
  return order;
}

}  // namespace

/// Verification, and new drafts from what survives.
void Session::verify_drafts(const PassResult& result, PassTrace& trace) {
  const int64_t drafts = std::ssize(drafts_);
  const Verdict verdict =
      verify(drafts_, result.logits, sampler_, std::ssize(text_), options_.lenience(), shaper_);
  cache_.truncate(std::ssize(text_) + verdict.accepted);
  trace.drafted = drafts;
  trace.accepted = verdict.accepted;
  drafted_ += drafts;
  accepted_ += verdict.accepted;
  if (policy_) {
    DraftOutcome outcome{draft_source_, possible_drafts_, proposals_, draft_maturities_,
                         verdict.accepted};
    if (refused_) outcome.refused = {refused_->second, refused_->first == verdict.next};
    policy_->learn(outcome, scout_);
  }

  const int32_t last = drafts > 0 ? drafts_.back() : text_.back();
  for (int64_t i = 0; i < verdict.accepted; ++i) commit(drafts_[at(i)], trace);
  commit(verdict.next, trace);
  if (options_.logprobs >= 0) add_logprobs(result.logits, trace);

  std::vector<float> state = keep_true_states(result, verdict, last);
  window_.clear();
  drafts_.clear();
  draft_maturities_.clear();
  draft_source_ = DraftSource::kNone;
  possible_drafts_ = proposals_ = 0;
  refused_.reset();
  if (done()) return;
  const bool ahead = policy_ != nullptr && policy_->drafts_ahead(scout_);
  if (ahead) pool_.clear();
  if (!pool_.empty()) {
    draft_from_window(verdict.next, std::move(state), trace);
  } else if (ahead || (window_size() > 0 && model_.config().drafts_ahead())) {
    Tape tape(Tape::Mode::kInference);
    ahead_h_ = slice_rows(tape, result.mature_h, verdict.accepted, verdict.accepted + 1);
  }
}

/// Leaves in the pool the hidden states that remain true: the new window's if all drafts were
/// right, else those that were made before the rejected draft. The token after the accepted ones
/// takes the place of the first of them. Returns the inner field's state at the others; `last` is
/// the token before the window.
std::vector<float> Session::keep_true_states(const PassResult& result, const Verdict& verdict,
                                             int32_t last) {
  std::vector<float> state(static_cast<size_t>(model_.config().inner_size), 0.0f);
  if (verdict.accepted == std::ssize(drafts_)) {
    pool_ = std::move(window_);
    Tape tape(Tape::Mode::kInference);
    for (int64_t i = 0; i < std::ssize(pool_); ++i) {
      pool_[at(i)].h = slice_rows(tape, result.window_h, i, i + 1);
    }
    if (!pool_.empty()) model_.inner_step(pool_.front().h, last, state);
    if (!pool_.empty()) pool_.erase(pool_.begin());
  } else if (draft_source_ == DraftSource::kWindow) {
    state = pool_[at(verdict.accepted)].inner_state;
    pool_.erase(pool_.begin(), pool_.begin() + verdict.accepted + 1);
  }
  return state;
}

/// `logits` [drafts + 1, V]: the row of every committed token, in order.
void Session::add_logprobs(std::span<const float> logits, PassTrace& trace) const {
  const auto vocabulary = static_cast<size_t>(model_.config().vocab_size);
  for (size_t i = 0; i < trace.committed.size(); ++i) {
    const auto row = logits.subspan(i * vocabulary, vocabulary);
    std::vector<float> exponentials(row.begin(), row.end());
    const SoftmaxRow softmax = softmax_row(exponentials.data(), std::ssize(row));
    const auto logprob = [&](int32_t token) {
      return static_cast<float>(row[at(token)] - softmax.max - std::log(softmax.sum));
    };
    TokenLogprob& added = trace.logprobs.emplace_back();
    added.token = trace.committed[i];
    added.logprob = logprob(added.token);
    for (const int32_t token : likeliest(row, at(options_.logprobs))) {
      added.top.emplace_back(token, logprob(token));
    }
  }
}

Session::Drafting Session::begin_drafts(DraftSource source, int64_t possible, int32_t previous) {
  draft_source_ = source;
  // A draft must leave room for the token that its verification yields.
  possible_drafts_ = std::min(possible, room() - 1);
  return {previous, 1, shaper_};
}

bool Session::wants_draft(const Drafting& drafting) const {
  return std::ssize(drafts_) < possible_drafts_ && drafting.previous != end_ &&
         (!policy_ || policy_->worth_proposing(drafting.all_kept, coming_rows(), draft_source_));
}

bool Session::take_draft(const Proposal& proposal, const WindowToken& token, Drafting& drafting,
                         PassTrace& trace) {
  ++proposals_;
  drafting.all_kept *= policy_ ? policy_->calibration(draft_source_).kept(proposal.maturity)
                               : static_cast<double>(proposal.maturity);
  if (policy_ ? !policy_->worth_verifying(drafting.all_kept, coming_rows())
              : drafting.all_kept < options_.draft_threshold * options_.lenience()) {
    refused_ = {proposal.token, proposal.maturity};
    return false;
  }
  drafting.previous = proposal.token;
  drafting.shaper.advance(proposal.token);
  trace.tokens.push_back(trace_of(token, proposal, draft_rank()));
  drafts_.push_back(proposal.token);
  draft_maturities_.push_back(proposal.maturity);
  return true;
}

void Session::draft_from_window(int32_t previous, std::vector<float> state, PassTrace& trace) {
  const auto start = std::chrono::steady_clock::now();
  Drafting drafting = begin_drafts(DraftSource::kWindow, std::ssize(pool_), previous);
  while (wants_draft(drafting)) {
    WindowToken& token = pool_[drafts_.size()];
    const Tensor o = model_.inner_step(token.h, drafting.previous, state);
    token.inner_state = state;
    const Proposal proposal = propose(token, o, draft_rank(), drafting.shaper);
    if (!take_draft(proposal, token, drafting, trace)) break;
  }
  const auto end = std::chrono::steady_clock::now();
  window_seconds_ = std::chrono::duration<double>(end - start).count();
}

/// A session that drafts ahead of its last mature token, and where it has come.
struct Session::Ahead {
  size_t index;  // of the session
  Session* session;
  PassTrace* trace;
  Drafting drafting;
  Tensor h, state;  // [1, D], [1, states]
};

/// All of them draft in step: a step of several costs little more than that of one.
double Session::draft_ahead(std::span<Session* const> sessions, std::span<PassTrace> traces,
                            Faults& faults) {
  std::vector<Ahead> active;
  for (size_t s = 0; s < sessions.size(); ++s) {
    Session& session = *sessions[s];
    if (faults.has(s) || !session.ahead_h_.defined()) continue;
    active.push_back({s, &session, &traces[s],
                      session.begin_drafts(DraftSource::kAhead, DraftPolicy::kLargestWindow,
                                           session.text_.back()),
                      std::exchange(session.ahead_h_, Tensor()),
                      Tensor::zeros({1, session.model_.config().ahead_states()})});
  }
  const WindowToken undecided;
  double steps = 0;
  while (true) {
    std::erase_if(active, [](const Ahead& a) { return !a.session->wants_draft(a.drafting); });
    if (active.empty()) return steps;
    steps += CostRatios::ahead_steps(static_cast<double>(active.size()));
    const std::vector<Proposal> proposals = propose_ahead(active, faults);
    std::vector<Ahead> go_on;
    for (size_t i = 0; i < active.size(); ++i) {
      Ahead& a = active[i];
      bool taken = false;
      if (!faults.has(a.index)) {
        faults.attempt(a.index, [&] {
          taken = a.session->take_draft(proposals[i], undecided, a.drafting, *a.trace);
        });
      }
      if (taken) go_on.push_back(std::move(a));
    }
    active = std::move(go_on);
  }
}

/// The next token of each; their states move on to it.
std::vector<Session::Proposal> Session::propose_ahead(std::span<Ahead> active, Faults& faults) {
  const Model& model = active.front().session->model_;
  Tape tape(Tape::Mode::kInference);
  Tensor h = active.front().h, states = active.front().state;
  std::vector<int32_t> previous, positions;
  std::vector<const KvCache*> caches;
  for (const Ahead& a : active) {
    if (&a != &active.front()) {
      h = concat_rows(tape, h, a.h);
      states = concat_rows(tape, states, a.state);
    }
    previous.push_back(a.drafting.previous);
    positions.push_back(a.session->place(a.session->draft_rank() - 1));
    caches.push_back(&a.session->cache_);
  }
  const Tensor o = model.ahead_step(h, previous, positions, caches, states);
  const Tensor logits = active.front().session->decoder_.logits(tape, o, model.ahead_unembedding(),
                                                                nullptr, model.ahead_tokens());
  std::vector<Proposal> proposals(active.size());
  for (int64_t i = 0; i < std::ssize(active); ++i) {
    Ahead& a = active[at(i)];
    a.state = slice_rows(tape, states, i, i + 1);
    faults.attempt(a.index, [&] {
      proposals[at(i)] = a.session->proposal_of(
          slice_rows(tape, o, i, i + 1), slice_rows(tape, logits, i, i + 1),
          {a.session->ahead_sampler_, model.ahead_maturity_weight(), model.ahead_tokens()},
          a.session->draft_rank(), a.drafting.shaper);
    });
  }
  return proposals;
}

int64_t Session::coming_rows() const {
  return 1 + std::ssize(drafts_) + window_size();
}

Session::Proposal Session::propose(const WindowToken& token, const Tensor& o, int64_t rank,
                                   const Shaper& shaper) const {
  const float kappa[] = {static_cast<float>(model_.time().kappa(token.time))};
  Tensor z = Tensor::empty({1, model_.config().code_size});
  std::ranges::copy(token.z, z.f32());
  const PosteriorTerm term{z, kappa, decoder_.codes()};
  Tape tape(Tape::Mode::kInference);
  const Tensor logits =
      decoder_.logits(tape, o, model_.unembedding(), kappa[0] > 0 ? &term : nullptr);
  return proposal_of(o, logits, {sampler_, model_.maturity_weight()}, rank, shaper);
}

Session::Proposal Session::proposal_of(const Tensor& o, const Tensor& logits, Proposer proposer,
                                       int64_t rank, const Shaper& shaper) const {
  std::span<const int32_t> tokens = proposer.tokens;
  std::span<const float> known = logits.values();
  std::vector<float> all, storage;
  if (!tokens.empty() && !shaper.is_idle()) {  // which wants the logits of all tokens
    all.assign(static_cast<size_t>(model_.config().vocab_size), kNeverLogit);
    for (size_t i = 0; i < tokens.size(); ++i) all[at(tokens[i])] = known[i];
    known = all;
    tokens = {};
  }
  const std::span<const float> shaped = shaper.shape(known, storage);
  Proposal proposal;
  proposal.token = proposer.sampler.choose(shaped, rank, tokens);
  if (options_.trace) {
    proposal.top = likeliest(shaped, kTraceTop);
    for (int32_t& token : proposal.top) token = tokens.empty() ? token : tokens[at(token)];
  }
  const SoftmaxRow softmax = softmax_row(logits.f32(), logits.cols());
  const auto log_pmax = static_cast<float>(-std::log(softmax.sum));
  proposal.entropy = static_cast<float>(softmax.entropy());
  Tape tape(Tape::Mode::kInference);
  proposal.maturity = maturity(tape, o, std::span(&log_pmax, 1), std::span(&proposal.entropy, 1),
                               proposer.maturity_weight, {}, {})
                          .probability[0];
  return proposal;
}

TokenTrace Session::trace_of(const WindowToken& token, const Proposal& proposal,
                             int64_t rank) const {
  TokenTrace trace{place(rank), proposal.token, token.time, proposal.entropy, proposal.maturity, {},
                   {}};
  if (options_.trace) {
    trace.top = proposal.top;
    trace.latent = token.z;
  }
  return trace;
}

}  // namespace evo
