#include "decode/session/shared_pass.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "ops/embedding.h"

namespace evo::decode {
namespace {

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

SharedPass::SharedPass(std::span<Session* const> sessions)
    : sessions_(sessions),
      decoder_(sessions.front()->decoder_),
      generating_(std::ranges::count(sessions, 0, &Session::unread)),
      rows_(sessions.size()),
      traces_(sessions.size()),
      faults_(sessions.size()) {}

std::vector<PassTrace> SharedPass::run(int64_t prompt_rows, std::vector<std::string>* told) {
  EVO_CHECK(prompt_rows > 0);
  const Stopwatch watch;
  const model::Model& model = decoder_.model();
  gather(prompt_rows);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = model.forward(tape, input_, caches_);
  const tensor::Tensor mature_h = scored_rows(h);
  const tensor::Tensor logits = decoder_.logits(tape, mature_h, model.unembedding(), nullptr);
  finish(h, mature_h, logits);

  PassRun run{.rows = static_cast<double>(h.rows()), .heads = static_cast<double>(logits.rows())};
  run.seconds = watch.seconds();
  draft(DraftKind::kWindow);
  run.window_seconds = watch.seconds() - run.seconds;
  run.ahead_steps = draft(DraftKind::kAhead);
  run.ahead_seconds = watch.seconds() - run.seconds - run.window_seconds;
  learn(run);
  faults_.tell(told);
  return std::move(traces_);
}

void SharedPass::gather(int64_t prompt_rows) {
  const auto is_scout = [](const Session* session) {
    return session->unread() == 0 && session->options_.mode == Mode::kExact;
  };
  const auto scout = std::ranges::find_if(sessions_, is_scout) - sessions_.begin();
  for (size_t s = 0; s < sessions_.size(); ++s) {
    Session& session = *sessions_[s];
    EVO_CHECK(!session.done() && &session.decoder_.model() == &decoder_.model());
    session.set_scout(std::cmp_equal(s, scout));
    rows_[s].scored = gather_mature(session, static_cast<int32_t>(s), prompt_rows);
    rows_[s].mature_end = input_.mature();
    caches_.push_back(&session.sequence_.cache());
  }
  gather_windows();
}

/// Returns how many of the session's rows need logits.
int64_t SharedPass::gather_mature(Session& session, int32_t index, int64_t& prompt_rows) {
  session.reading_ = session.unread() > 0;
  if (session.reading_) {
    const int64_t rows = std::min(session.unread(), prompt_rows);
    prompt_rows -= rows;
    session.sequence_.append_prompt(input_, index, rows);
    return 0;
  }
  const Mode mode = session.options_.mode;
  if (session.policy_ && mode == Mode::kExact) session.policy_->share_passes(generating_);
  session.fill_window();
  session.sequence_.append_tokens(input_, index, session.drafts_.tokens());
  return mode == Mode::kDiffusion ? 0 : session.drafts_.size() + 1;
}

void SharedPass::gather_windows() {
  int64_t evolving = 0;
  for (size_t s = 0; s < sessions_.size(); ++s) {
    evolving += rows_[s].window = sessions_[s]->window_.size();
  }
  if (evolving == 0) return;
  const int64_t width = decoder_.model().config().code_size;
  input_.z = tensor::Tensor::empty({evolving, width});
  input_.previous_x = tensor::Tensor::empty({evolving, width});
  for (size_t s = 0; s < sessions_.size(); ++s) {
    const Session& session = *sessions_[s];
    session.window_.append(input_, static_cast<int32_t>(s), session.sequence_,
                           session.drafts_.size());
  }
}

/// [all scored rows, D]
tensor::Tensor SharedPass::scored_rows(const tensor::Tensor& h) const {
  int64_t count = 0;
  for (const Rows& rows : rows_) count += rows.scored;
  tensor::Tensor scored = tensor::Tensor::empty({count, h.cols()});
  float* to = scored.f32();
  for (const Rows& rows : rows_) {
    to = std::copy_n(h.row(rows.mature_end - rows.scored), rows.scored * h.cols(), to);
  }
  return scored;
}

void SharedPass::finish(const tensor::Tensor& h, const tensor::Tensor& mature_h,
                        const tensor::Tensor& logits) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const auto vocabulary = decoder_.model().config().vocab_size;
  int64_t mature = 0, scored = 0, window = input_.mature();
  for (size_t s = 0; s < sessions_.size(); ++s) {
    const Rows& rows = rows_[s];
    const auto own = logits.values().subspan(scored * vocabulary, rows.scored * vocabulary);
    faults_.attempt(s, [&] {
      traces_[s] = sessions_[s]->finish_pass(
          {ops::slice_rows(tape, h, window, window + rows.window),
           ops::slice_rows(tape, mature_h, scored, scored + rows.scored), own});
    });
    traces_[s].rows = rows.mature_end - mature + rows.window;
    mature = rows.mature_end;
    scored += rows.scored;
    window += rows.window;
  }
}

double SharedPass::draft(DraftKind kind) {
  std::vector<DraftRequest> active;
  for (size_t s = 0; s < sessions_.size(); ++s) {
    Session& session = *sessions_[s];
    if (faults_.has(s) || session.drafts_.kind() != kind || session.reading_) continue;
    active.push_back(
        {s, session.source_, &session.sequence_, &session.drafts_, &session.proposer_});
  }
  double steps = 0;
  while (true) {
    std::erase_if(active, [](const DraftRequest& r) { return !r.chain->wants_more(); });
    if (active.empty()) return steps;
    steps += CostRatios::ahead_steps(static_cast<double>(active.size()));
    active.front().source->propose(active, faults_);
    std::erase_if(active, [&](const DraftRequest& request) {
      const size_t s = request.session;
      bool taken = false;
      faults_.attempt(s, [&] { taken = sessions_[s]->take_draft(request.proposal, traces_[s]); });
      return !taken;
    });
  }
}

/// Lets the decoder learn what passes of exact sessions take, whose text does not depend on it.
void SharedPass::learn(PassRun run) const {
  if (!decoder_.measures()) return;
  int64_t accepted = 0;
  for (size_t s = 0; s < sessions_.size(); ++s) {
    const Session& session = *sessions_[s];
    // What prompts take says nothing about passes that draft, and others spend as they like.
    if (session.reading_ || session.policy_ != &decoder_.exact_policy()) return;
    accepted += traces_[s].accepted;
    if (session.drafts_.kind() == DraftKind::kWindow) {
      run.window_steps += static_cast<double>(session.drafts_.proposals());
    }
  }
  decoder_.learn(run, std::ssize(sessions_), accepted);
}

}  // namespace evo::decode
