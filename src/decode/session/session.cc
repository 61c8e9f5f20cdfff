#include "decode/session/session.h"

#include <algorithm>

#include "decode/session/logprobs.h"
#include "decode/session/shared_pass.h"
#include "ops/embedding.h"

namespace evo::decode {
namespace {

constexpr int64_t kDiffusionWindow = 8;

/// What of the options is wrong without any text.
void check_options(const DecodeOptions& options, const model::Model& model) {
  EVO_CHECK(options.window >= 0 && options.steps >= 1);
  EVO_CHECK(options.mode != Mode::kEvo || (options.balance >= 0 && options.balance < 1));
  EVO_CHECK(options.mode != Mode::kDiffusion || (options.logprobs < 0 && !options.shape.grammar));
  if (options.mode != Mode::kAr && !model.config().flow) {
    fail("this model has no evolving stream: use --mode ar, or train it with flow=true");
  }
}

/// Null for windows of a fixed size. Of evo mode it is made in `own`.
DraftPolicy* policy_for(const Decoder& decoder, const DecodeOptions& options,
                        std::optional<DraftPolicy>& own) {
  if (options.window > 0) return nullptr;
  if (options.mode == Mode::kExact) return &decoder.exact_policy();
  if (options.mode != Mode::kEvo) return nullptr;
  return &own.emplace(decoder.nominal_cost(), options.lenience(),
                      decoder.model().config().drafts_ahead());
}

model::KvCache own_cache(const model::Model& model) {
  return model::KvCache(model.config(), model.config().max_position_embeddings,
                        model.cache_format());
}

}  // namespace

Session::Session(const Decoder& decoder, const DecodeOptions& options, Prompt prompt,
                 EndTokens ends, PromptReading reading, std::optional<model::KvCache> cache)
    : decoder_(decoder),
      options_(options),
      proposer_(decoder, options_),
      sequence_(decoder.model().config(), options_, std::move(prompt), std::move(ends),
                cache ? std::move(*cache) : own_cache(decoder.model())),
      policy_(policy_for(decoder, options_, own_policy_)),
      drafts_(options_, policy_),
      window_source_(decoder.model()),
      ahead_source_(decoder),
      window_(decoder, options_),
      diffusion_(decoder, options_, proposer_) {
  check_options(options_, decoder.model());
  while (reading == PromptReading::kAtOnce && unread() > 0 && !done()) step();
}

void Session::begin_from(std::vector<int32_t> tokens, double t) {
  EVO_CHECK(options_.mode == Mode::kDiffusion && passes_ == 0 && t > 0 && t <= 1);
  window_.begin_from(std::move(tokens), t);
}

PassTrace Session::step() {
  Session* const only = this;
  return std::move(step_together(std::span(&only, 1)).front());
}

std::vector<PassTrace> Session::step_together(std::span<Session* const> sessions,
                                              int64_t prompt_rows,
                                              std::vector<std::string>* faults) {
  return SharedPass(sessions).run(prompt_rows, faults);
}

int64_t Session::window_size() const {
  if (options_.mode == Mode::kAr) return 0;
  if (options_.mode == Mode::kDiffusion && options_.window == 0) return kDiffusionWindow;
  return policy_ ? policy_->window(scout_) : options_.window;
}

void Session::fill_window() {
  if (options_.mode != Mode::kDiffusion) window_.clear();  // every pass starts from pure noise
  const int64_t size = std::clamp<int64_t>(sequence_.room() - drafts_.size(), 0, window_size());
  window_.fill(size, std::ssize(generated()) + drafts_.size());
}

PassTrace Session::finish_pass(const PassResult& result) {
  PassTrace trace;
  trace.reading = reading_;
  trace.pass = passes_;
  if (reading_) return trace;
  ++passes_;
  if (options_.mode == Mode::kDiffusion) {
    evolve_window(result.window_h, trace);
  } else {
    verify_drafts(result, trace);
  }
  return trace;
}

void Session::verify_drafts(const PassResult& result, PassTrace& trace) {
  const std::span<const int32_t> drafts = drafts_.tokens();
  const Verdict verdict = verify(drafts, result.logits, proposer_.sampler(), sequence_.size(),
                                 options_.lenience(), sequence_.shaper());
  sequence_.cache().truncate(sequence_.size() + verdict.accepted);
  trace.drafted = std::ssize(drafts);
  trace.accepted = verdict.accepted;
  drafted_ += trace.drafted;
  accepted_ += trace.accepted;
  if (policy_) policy_->learn(drafts_.outcome(verdict), scout_);

  const int32_t last = drafts.empty() ? text().back() : drafts.back();
  for (int64_t i = 0; i < verdict.accepted; ++i) commit(drafts[i], trace);
  commit(verdict.next, trace);
  if (options_.logprobs >= 0) {
    trace.logprobs = token_logprobs(trace.committed, result.logits,
                                    static_cast<size_t>(decoder_.model().config().vocab_size),
                                    static_cast<size_t>(options_.logprobs));
  }
  window_source_.keep(window_.take(), result.window_h, drafts_, verdict.accepted, last);
  drafts_.clear();
  if (!done()) choose_source(result, verdict.accepted);
}

/// From where the next drafts come, which the pass makes when all its sessions are verified.
void Session::choose_source(const PassResult& result, int64_t accepted) {
  const bool ahead = policy_ != nullptr && policy_->drafts_ahead(scout_);
  if (ahead) window_source_.clear();
  if (window_source_.size() > 0) {
    begin_drafts(DraftKind::kWindow, window_source_, window_source_.size());
  } else if (ahead || (window_size() > 0 && decoder_.model().config().drafts_ahead())) {
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    ahead_source_.begin(ops::slice_rows(tape, result.mature_h, accepted, accepted + 1));
    begin_drafts(DraftKind::kAhead, ahead_source_, DraftPolicy::kLargestWindow);
  }
}

void Session::begin_drafts(DraftKind kind, DraftSource& source, int64_t possible) {
  source_ = &source;
  drafts_.begin(kind, sequence_, possible, window_size());
}

bool Session::take_draft(const Proposal& proposal, PassTrace& trace) {
  const int64_t rank = sequence_.size() + drafts_.size();
  if (!drafts_.take(proposal)) return false;
  trace.tokens.push_back(trace_of(proposal, rank));
  return true;
}

void Session::evolve_window(const tensor::Tensor& h, PassTrace& trace) {
  diffusion_.propose(h, sequence_, window_);
  for (const EvolvingToken& token : window_.tokens()) {
    Proposal now = token.proposal;  // a ripe one was made at another time
    now.time = token.time;
    if (options_.trace) now.latent = token.z;
    trace.tokens.push_back(trace_of(now, sequence_.size() + std::ssize(trace.tokens)));
  }
  window_.grow_older();
  diffusion_.ripen(window_);
  if (!diffusion_.is_ripe(sequence_, window_)) return;
  for (const EvolvingToken& token : window_.take()) commit(token.proposal.token, trace);
}

void Session::commit(int32_t token, PassTrace& trace) {
  if (sequence_.commit(token)) trace.committed.push_back(token);
}

TokenTrace Session::trace_of(const Proposal& proposal, int64_t rank) const {
  return {sequence_.place(rank), proposal.token, proposal.time,  proposal.entropy,
          proposal.maturity,     proposal.top,   proposal.latent};
}

}  // namespace evo::decode
