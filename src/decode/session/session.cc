#include "decode/session/session.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "ops/embedding.h"
#include "ops/head.h"

namespace evo {
namespace {

constexpr int64_t kDiffusionWindow = 8;

// Purposes of random streams in a session.
enum SessionStream : uint64_t { kNoise = 1 };

void append_token(ForwardInput& input, int32_t rank, int32_t token, int32_t position,
                  int32_t sequence) {
  input.ids.push_back(token);
  input.positions.push_back(position);
  input.ranges.push_back({0, rank + 1, 0, 0});
  input.sequences.push_back(sequence);
}

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The field ahead learns which token the model thinks likeliest, and so becomes surer than that
/// is: its logits are for another temperature. Greedy choices are the same.
SamplerOptions of_field_ahead(SamplerOptions options) {
  constexpr double kAheadFlatness = 0.7;  // drafts kept at 0.8 and 1.0: docs/log.md, 2026-11-28
  options.temperature = std::min(kMaxTemperature, options.temperature / kAheadFlatness);
  return options;
}

/// [sum of counts, D]: the counts[s] rows of h before row ends[s], for every s.
Tensor last_rows(const Tensor& h, std::span<const int64_t> ends, std::span<const int64_t> counts) {
  Tensor rows = Tensor::empty({std::reduce(counts.begin(), counts.end()), h.cols()});
  int64_t to = 0;
  for (size_t s = 0; s < counts.size(); to += counts[s++]) {
    std::copy_n(h.row(ends[s] - counts[s]), counts[s] * h.cols(), rows.row(to));
  }
  return rows;
}

}  // namespace

Session::Session(const Decoder& decoder, const DecodeOptions& options, Prompt prompt, int32_t end,
                 PromptReading reading, std::optional<KvCache> cache)
    : decoder_(decoder),
      model_(decoder.model()),
      options_(options),
      end_(end),
      sampler_(options.sampler, options.seed),
      ahead_sampler_(of_field_ahead(options.sampler), options.seed),
      shaper_(options.shape),
      cache_(cache ? std::move(*cache)
                   : KvCache(model_.config(), model_.config().max_position_embeddings)),
      known_(cache_.length()),
      text_(std::move(prompt.tokens)),
      positions_(std::move(prompt.positions)),
      prompt_size_(text_.size()),
      random_(options.seed, kNoise) {
  EVO_CHECK(options_.window >= 0 && options_.steps >= 1);
  EVO_CHECK(options_.mode != Mode::kEvo || (options_.balance >= 0 && options_.balance < 1));
  EVO_CHECK(options_.mode != Mode::kDiffusion ||
            (options_.logprobs < 0 && !options_.shape.grammar));
  EVO_CHECK(!text_.empty() && text_.size() == positions_.size());
  EVO_CHECK(cache_.length() < static_cast<int64_t>(prompt_size_));
  const int64_t context = model_.config().max_position_embeddings;
  const auto used = static_cast<int64_t>(prompt_size_);
  const int64_t reach = *std::ranges::max_element(positions_);
  if (used >= context || reach >= context) {
    fail(
        "the prompt has {} tokens and, with the room for what is generated, reaches to position "
        "{}, "
        "but this model's context is {} and must hold at least one more: shorten it{}",
        used, reach, context, reach >= used ? ", or lower --max-tokens" : "");
  }
  if (options_.mode != Mode::kAr && !model_.config().flow) {
    fail("this model has no evolving stream: use --mode ar, or train it with flow=true");
  }
  end_of_room_ = used + std::min({options_.max_tokens, prompt.room, context - used,
                                  context - 1 - positions_.back()});
  if (options_.window == 0 && options_.mode == Mode::kExact) policy_ = &decoder.exact_policy();
  if (options_.window == 0 && options_.mode == Mode::kEvo) {
    policy_ = &own_policy_.emplace(decoder.nominal_cost(), options_.lenience(),
                                   model_.config().drafts_ahead());
  }
  Session* const only = this;
  while (reading == PromptReading::kAtOnce && unread() > 0 && !done()) {
    step_together(std::span(&only, 1));
  }
}

void Session::begin_from(std::vector<int32_t> tokens, double t) {
  EVO_CHECK(options_.mode == Mode::kDiffusion && passes_ == 0 && t > 0 && t <= 1);
  sketch_ = std::move(tokens);
  sketch_time_ = std::max(t, model_.time().min_time());
}

PassTrace Session::step() {
  Session* const only = this;
  return std::move(step_together(std::span(&only, 1)).front());
}

std::vector<PassTrace> Session::step_together(std::span<Session* const> sessions,
                                              int64_t prompt_rows, std::vector<std::string>* told) {
  EVO_CHECK(!sessions.empty() && prompt_rows > 0);
  const Stopwatch watch;
  const Model& model = sessions.front()->model_;
  const auto count = sessions.size();
  const int64_t generating = std::ranges::count(sessions, 0, &Session::unread);
  // Exact sessions share a policy and need one scout. Evo's text depends on its policy, which is
  // therefore its own and must not depend on the company.
  const auto is_scout = [](const Session* session) {
    return session->unread() == 0 && session->options_.mode == Mode::kExact;
  };
  const auto scout =
      static_cast<size_t>(std::ranges::find_if(sessions, is_scout) - sessions.begin());
  ForwardInput input;
  std::vector<KvCache*> caches;
  std::vector<int64_t> scored(count);  // the last mature rows of each session, which need logits
  std::vector<int64_t> mature_end(count);
  for (size_t s = 0; s < count; ++s) {
    Session& session = *sessions[s];
    EVO_CHECK(!session.done() && &session.model_ == &model);
    session.scout_ = s == scout || session.options_.mode != Mode::kExact;
    scored[s] = session.prepare_pass(input, static_cast<int32_t>(s), generating, prompt_rows);
    caches.push_back(&session.cache_);
    mature_end[s] = input.mature();
  }
  add_windows(sessions, input);
  Tape tape(Tape::Mode::kInference);
  const Tensor h = model.forward(tape, input, caches);
  const Tensor mature_h = last_rows(h, mature_end, scored);
  const Tensor logits =
      sessions.front()->decoder_.logits(tape, mature_h, model.unembedding(), nullptr);

  std::vector<PassTrace> traces(count);
  Faults faults(count);
  int64_t logit_row = 0, window_row = input.mature();
  for (size_t s = 0; s < count; ++s) {
    Session& session = *sessions[s];
    const int64_t size = std::ssize(session.window_);
    const auto row = static_cast<size_t>(model.config().vocab_size);
    const auto own = logits.values().subspan(static_cast<size_t>(logit_row) * row,
                                             static_cast<size_t>(scored[s]) * row);
    faults.attempt(s, [&] {
      traces[s] =
          session.finish_pass({slice_rows(tape, h, window_row, window_row + size),
                               slice_rows(tape, mature_h, logit_row, logit_row + scored[s]), own});
    });
    traces[s].rows = mature_end[s] - (s > 0 ? mature_end[s - 1] : 0) + size;
    logit_row += scored[s];
    window_row += size;
  }
  PassRun run{.rows = static_cast<double>(h.rows()), .heads = static_cast<double>(logit_row)};
  run.seconds = watch.seconds();
  run.ahead_steps = draft_ahead(sessions, traces, faults);
  run.ahead_seconds = watch.seconds() - run.seconds;
  observe_pass(sessions, traces, run);
  faults.tell(told);
  return traces;
}

void Session::Faults::tell(std::vector<std::string>* told) const {
  if (told != nullptr) told->assign(reasons_.size(), "");
  for (size_t s = 0; s < reasons_.size(); ++s) {
    if (reasons_[s] == nullptr) continue;
    if (told == nullptr) std::rethrow_exception(reasons_[s]);
    try {
      std::rethrow_exception(reasons_[s]);
    } catch (const std::exception& error) {
      (*told)[s] = error.what();
    }
  }
}

int64_t Session::prepare_pass(ForwardInput& input, int32_t sequence, int64_t generating,
                              int64_t& prompt_rows) {
  reading_ = unread() > 0;
  if (reading_) {
    const int64_t rows = std::min(unread(), prompt_rows);
    prompt_rows -= rows;
    append_prompt(input, sequence, rows);
    return 0;
  }
  if (policy_ && options_.mode == Mode::kExact) policy_->share_passes(generating);
  fill_window();
  append_mature(input, sequence);
  return options_.mode == Mode::kDiffusion ? 0 : std::ssize(drafts_) + 1;
}

/// Lets the decoder learn what passes of exact sessions take, whose text does not depend on it.
void Session::observe_pass(std::span<Session* const> sessions, std::span<const PassTrace> traces,
                           PassRun run) {
  const Decoder& decoder = sessions.front()->decoder_;
  if (!decoder.measures()) return;
  int64_t accepted = 0;
  for (size_t s = 0; s < sessions.size(); ++s) {
    const Session& session = *sessions[s];
    // What prompts take says nothing about passes that draft, and others spend as they like.
    if (session.reading_ || session.policy_ != &decoder.exact_policy()) return;
    accepted += traces[s].accepted;
    if (session.draft_source_ != DraftSource::kWindow) continue;
    run.window_steps += static_cast<double>(session.proposals_);
    run.window_seconds += session.window_seconds_;
  }
  run.seconds -= run.window_seconds;
  decoder.learn(run, std::ssize(sessions), accepted);
}

/// The evolving rows of all sessions.
void Session::add_windows(std::span<Session* const> sessions, ForwardInput& input) {
  int64_t rows = 0;
  for (const Session* session : sessions) rows += std::ssize(session->window_);
  if (rows == 0) return;
  const int64_t width = sessions.front()->model_.config().code_size;
  input.z = Tensor::empty({rows, width});
  input.previous_x = Tensor::empty({rows, width});
  for (size_t s = 0; s < sessions.size(); ++s) {
    sessions[s]->append_evolving(input, static_cast<int32_t>(s));
  }
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

bool Session::done() const {
  return ended_ || room() <= 0;
}

std::span<const int32_t> Session::generated() const {
  return std::span(text_).subspan(prompt_size_);
}

int64_t Session::room() const {
  return end_of_room_ - std::ssize(text_);
}

/// All of the prompt but its last token must be in the cache before a pass can generate.
int64_t Session::unread() const {
  return std::max<int64_t>(0, static_cast<int64_t>(prompt_size_) - 1 - cache_.length());
}

int64_t Session::window_size() const {
  if (options_.mode == Mode::kAr) return 0;
  if (options_.mode == Mode::kDiffusion && options_.window == 0) return kDiffusionWindow;
  return policy_ ? policy_->window(scout_) : options_.window;
}

void Session::fill_window() {
  if (options_.mode != Mode::kDiffusion) window_.clear();  // every pass starts from pure noise
  const int64_t drafts = std::ssize(drafts_);
  const auto size = static_cast<size_t>(std::clamp<int64_t>(room() - drafts, 0, window_size()));
  if (window_.size() > size) window_.resize(size);
  if (window_.empty()) window_age_ = first_age();
  while (window_.size() < size) {
    window_.push_back(fresh_token(std::ssize(generated()) + drafts + std::ssize(window_)));
  }
}

void Session::append_prompt(ForwardInput& input, int32_t sequence, int64_t rows) const {
  const auto first = static_cast<int32_t>(cache_.length());
  for (int32_t r = first; r < first + static_cast<int32_t>(rows); ++r) {
    append_token(input, r, text_[at(r)], place(r), sequence);
  }
}

void Session::append_mature(ForwardInput& input, int32_t sequence) const {
  const auto length = static_cast<int32_t>(text_.size());
  for (auto r = static_cast<int32_t>(cache_.length()); r < length; ++r) {
    append_token(input, r, text_[at(r)], place(r), sequence);
  }
  for (int32_t i = 0; i < static_cast<int32_t>(drafts_.size()); ++i) {
    append_token(input, length + i, drafts_[at(i)], place(length + i), sequence);
  }
}

void Session::append_evolving(ForwardInput& input, int32_t sequence) const {
  const auto before = static_cast<int32_t>(text_.size() + drafts_.size());
  const auto first = static_cast<int32_t>(input.positions.size());
  const auto size = static_cast<int32_t>(window_.size());
  for (int32_t r = 0; r < size; ++r) {
    const WindowToken& token = window_[at(r)];
    const int64_t row = input.evolving();
    std::ranges::copy(token.z, input.z.row(row));
    std::ranges::copy(token.previous_x, input.previous_x.row(row));
    input.times.push_back(token.time);
    input.positions.push_back(place(before + r));
    input.ranges.push_back({0, before, first, first + size});
    input.sequences.push_back(sequence);
  }
}

/// Where the token of this rank stands in the text.
int32_t Session::place(int64_t rank) const {
  const int64_t behind = rank - std::ssize(positions_);
  return behind < 0 ? positions_[at(rank)] : positions_.back() + 1 + static_cast<int32_t>(behind);
}

void Session::commit(int32_t token, PassTrace& trace) {
  if (done()) return;
  if (token == end_) {
    ended_ = true;
    return;
  }
  text_.push_back(token);
  shaper_.advance(token);
  ended_ = shaper_.is_final();
  trace.committed.push_back(token);
}

}  // namespace evo
