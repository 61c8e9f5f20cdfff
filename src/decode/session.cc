#include "decode/session.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "flow/bridge.h"
#include "ops/embedding.h"
#include "ops/head.h"
#include "ops/maturity.h"
#include "ops/softmax.h"

namespace evo {
namespace {

constexpr int64_t kDiffusionWindow = 8;
constexpr size_t kTraceTop = 5;

// Purposes of random streams in a session.
enum SessionStream : uint64_t { kNoise = 1 };

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

double lenience_of(const DecodeOptions& options) {
  const double strict = 1 - options.balance;
  return options.mode == Mode::kEvo ? strict * strict : 1;
}

size_t at(int64_t index) {
  return static_cast<size_t>(index);
}

void append_token(ForwardInput& input, int32_t rank, int32_t token, int32_t position,
                  int32_t sequence) {
  input.ids.push_back(token);
  input.positions.push_back(position);
  input.ranges.push_back({0, rank + 1, 0, 0});
  input.sequences.push_back(sequence);
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

Mode parse_mode(const std::string& name) {
  for (Mode mode : {Mode::kAr, Mode::kExact, Mode::kEvo, Mode::kDiffusion}) {
    if (name == mode_name(mode)) return mode;
  }
  throw UsageError(fmt::format("--mode '{}': expected ar, exact, evo or diffusion", name));
}

const char* mode_name(Mode mode) {
  switch (mode) {
    case Mode::kAr:
      return "ar";
    case Mode::kExact:
      return "exact";
    case Mode::kEvo:
      return "evo";
    case Mode::kDiffusion:
      return "diffusion";
  }
  return "?";
}

Prompt Prompt::of_text(std::vector<int32_t> tokens) {
  Prompt prompt;
  prompt.positions.resize(tokens.size());
  std::iota(prompt.positions.begin(), prompt.positions.end(), 0);
  prompt.tokens = std::move(tokens);
  return prompt;
}

Prompt Prompt::of_gap(std::vector<int32_t> prefix, std::span<const int32_t> suffix, int64_t room) {
  EVO_CHECK(!prefix.empty());
  if (suffix.empty()) return of_text(std::move(prefix));
  const int32_t edge = prefix.back();
  Prompt prompt = of_text(std::move(prefix));
  const auto before = static_cast<int32_t>(prompt.tokens.size());
  for (int32_t i = 0; i < static_cast<int32_t>(suffix.size()); ++i) {
    prompt.tokens.push_back(suffix[static_cast<size_t>(i)]);
    prompt.positions.push_back(before + static_cast<int32_t>(room) + i);
  }
  // The last token of the prefix comes again, now with the suffix before its eyes.
  prompt.tokens.push_back(edge);
  prompt.positions.push_back(before - 1);
  prompt.room = room;
  return prompt;
}

Decoder::Decoder(const Model& model, bool measure) : model_(model), measure_(measure) {
  Tape tape(Tape::Mode::kInference);
  if (model.config().flow) codes_ = model.codes(tape);
}

const PassCost& Decoder::cost(Mode mode) const {
  if (mode != Mode::kExact || !measure_) return nominal_;
  if (!measured_) measured_ = PassCost::measured(model_);
  return *measured_;
}

DraftPolicy& Decoder::exact_policy() const {
  if (!exact_policy_) exact_policy_.emplace(cost(Mode::kExact), 1, model_.config().ahead_size > 0);
  return *exact_policy_;
}

Session::Session(const Decoder& decoder, const DecodeOptions& options, Prompt prompt, int32_t end,
                 PromptReading reading, std::optional<KvCache> cache)
    : decoder_(decoder),
      model_(decoder.model()),
      options_(options),
      end_(end),
      sampler_(options.sampler, options.seed),
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
    policy_ = &own_policy_.emplace(decoder.cost(Mode::kEvo), lenience_of(options_));
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
                                              int64_t prompt_rows) {
  EVO_CHECK(!sessions.empty() && prompt_rows > 0);
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
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
      head_logits(tape, mature_h, 0, mature_h.rows(), model.unembedding(), nullptr);

  std::vector<PassTrace> traces;
  int64_t logit_row = 0, window_row = input.mature();
  for (size_t s = 0; s < count; ++s) {
    Session& session = *sessions[s];
    const int64_t size = std::ssize(session.window_);
    const auto row = static_cast<size_t>(model.config().vocab_size);
    const auto own = logits.values().subspan(static_cast<size_t>(logit_row) * row,
                                             static_cast<size_t>(scored[s]) * row);
    traces.push_back(
        session.finish_pass({slice_rows(tape, h, window_row, window_row + size),
                             slice_rows(tape, mature_h, logit_row, logit_row + scored[s]), own}));
    traces.back().rows = mature_end[s] - (s > 0 ? mature_end[s - 1] : 0) + size;
    logit_row += scored[s];
    window_row += size;
  }
  observe_pass(sessions, std::chrono::duration<double>(Clock::now() - start).count(), h.rows(),
               logit_row, input.evolving() > 0);
  return traces;
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

/// Lets the policy of exact sessions, whose text does not depend on it, learn what passes take.
void Session::observe_pass(std::span<Session* const> sessions, double seconds, int64_t rows,
                           int64_t heads, bool drafting) {
  int64_t drafts = 0;
  DraftPolicy* policy = nullptr;
  for (const Session* session : sessions) {
    if (session->reading_) return;  // what prompts take says nothing about passes that draft
    drafts += std::ssize(session->drafts_);
    if (session->options_.mode == Mode::kExact && session->policy_) policy = session->policy_;
  }
  if (policy == nullptr || !sessions.front()->decoder_.measures()) return;
  const PassCost& cost = sessions.front()->decoder_.cost(Mode::kExact);
  const double expected = cost.pass(static_cast<double>(rows), static_cast<double>(heads)) +
                          static_cast<double>(drafts) * cost.draft();
  policy->observe(drafting || drafts > 0, seconds / expected);
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

/// Verification, and new drafts from what survives.
void Session::verify_drafts(const PassResult& result, PassTrace& trace) {
  const int64_t drafts = std::ssize(drafts_);
  const Verdict verdict =
      verify(drafts_, result.logits, sampler_, std::ssize(text_), lenience_of(options_), shaper_);
  cache_.truncate(std::ssize(text_) + verdict.accepted);
  trace.drafted = drafts;
  trace.accepted = verdict.accepted;
  drafted_ += drafts;
  accepted_ += verdict.accepted;
  if (policy_) {
    policy_->learn(draft_maturities_, verdict.accepted, possible_drafts_, scout_, draft_source_);
  }

  const int32_t last = drafts > 0 ? drafts_.back() : text_.back();
  for (int64_t i = 0; i < verdict.accepted; ++i) commit(drafts_[at(i)], trace);
  commit(verdict.next, trace);
  if (options_.logprobs >= 0) add_logprobs(result.logits, trace);

  // The hidden states that remain true: the new window's if all drafts were right, else those that
  // were made before the rejected draft. `next` takes the place of the first of them.
  std::vector<float> state(static_cast<size_t>(model_.config().inner_size), 0.0f);
  if (verdict.accepted == drafts) {
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
  window_.clear();
  drafts_.clear();
  draft_maturities_.clear();
  draft_source_ = DraftSource::kNone;
  possible_drafts_ = 0;
  if (done()) return;
  const bool ahead = policy_ != nullptr && policy_->drafts_ahead(scout_);
  if (ahead) pool_.clear();
  if (!pool_.empty()) {
    draft_from_window(verdict.next, std::move(state), trace);
  } else if (ahead || (window_size() > 0 && can_draft_ahead())) {
    Tape tape(Tape::Mode::kInference);
    draft_ahead(slice_rows(tape, result.mature_h, verdict.accepted, verdict.accepted + 1),
                verdict.next, trace);
  }
}

/// Evo mode drafts from windows only: what is leniently kept should have been planned.
bool Session::can_draft_ahead() const {
  return model_.config().ahead_size > 0 && options_.mode == Mode::kExact;
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

template <class TokenOf, class Propose>
void Session::draft(DraftSource source, int64_t possible, int32_t previous, PassTrace& trace,
                    const TokenOf& token_of, const Propose& propose) {
  draft_source_ = source;
  // A draft must leave room for the token that its verification yields.
  possible_drafts_ = std::min(possible, room() - 1);
  double all_kept = 1;
  Shaper shaper = shaper_;
  for (int64_t i = 0; i < possible_drafts_ && previous != end_; ++i) {
    const int64_t rank = std::ssize(text_) + i;
    const Proposal proposal = propose(i, previous, rank, shaper);
    all_kept *= policy_ ? policy_->calibration(source).kept(proposal.maturity) : proposal.maturity;
    if (!worth_drafting(all_kept)) break;
    previous = proposal.token;
    shaper.advance(previous);
    trace.tokens.push_back(trace_of(token_of(i), proposal, rank));
    drafts_.push_back(proposal.token);
    draft_maturities_.push_back(proposal.maturity);
  }
}

void Session::draft_from_window(int32_t previous, std::vector<float> state, PassTrace& trace) {
  const auto token_of = [&](int64_t i) -> WindowToken& { return pool_[at(i)]; };
  draft(DraftSource::kWindow, std::ssize(pool_), previous, trace, token_of,
        [&](int64_t i, int32_t before, int64_t rank, const Shaper& shaper) {
          const Proposal proposal = propose(token_of(i), before, rank, shaper, state);
          token_of(i).inner_state = state;
          return proposal;
        });
}

/// `h_row` [1, D] of the mature row that gave the token `previous`.
void Session::draft_ahead(const Tensor& h_row, int32_t previous, PassTrace& trace) {
  const WindowToken undecided;
  std::vector<float> state(static_cast<size_t>(model_.config().ahead_size), 0.0f);
  draft(
      DraftSource::kAhead, DraftPolicy::kLargestWindow, previous, trace,
      [&](int64_t) -> const WindowToken& { return undecided; },
      [&](int64_t, int32_t before, int64_t rank, const Shaper& shaper) {
        const Tensor o = model_.ahead_step(h_row, before, state);
        return proposal_of(o, nullptr, model_.ahead_maturity_weight(), rank, shaper);
      });
}

bool Session::worth_drafting(double all_kept) const {
  if (policy_) return policy_->worth_drafting(all_kept, 1 + std::ssize(drafts_) + window_size());
  return all_kept >= options_.draft_threshold * lenience_of(options_);
}

/// One step of the flow for the window.
void Session::evolve_window(const Tensor& h, PassTrace& trace) {
  const Tensor means = posterior_means(h);
  propose_window(h);
  for (int64_t i = 0; i < std::ssize(window_); ++i) {
    WindowToken& token = window_[at(i)];
    token.previous_x.assign(means.row(i), means.row(i) + means.cols());
    trace.tokens.push_back(trace_of(token, token.proposal, std::ssize(text_) + i));
  }
  ++window_age_;
  ripen_surest();
  commit_ripe_window(trace);
}

/// E[c | z] of the window [W, d], which the next pass is told.
Tensor Session::posterior_means(const Tensor& h) const {
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
  return head(tape, h, 0, size, model_.unembedding(), &term, nullptr).mean_code;
}

/// The hypothesis is one joint draft of the window, left to right, around what is ripe.
void Session::propose_window(const Tensor& h) {
  Tape tape(Tape::Mode::kInference);
  int32_t previous = text_.back();
  Shaper shaper = shaper_;
  std::vector<float> state(static_cast<size_t>(model_.config().inner_size), 0.0f);
  for (int64_t i = 0; i < std::ssize(window_); ++i) {
    WindowToken& token = window_[at(i)];
    token.h = slice_rows(tape, h, i, i + 1);
    if (token.ripe) {
      model_.inner_step(token.h, previous, state);
    } else {
      token.proposal = propose(token, previous, std::ssize(text_) + i, shaper, state);
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

Session::Proposal Session::propose(const WindowToken& token, int32_t previous, int64_t rank,
                                   const Shaper& shaper, std::vector<float>& state) const {
  const Tensor o = model_.inner_step(token.h, previous, state);
  const float kappa[] = {static_cast<float>(model_.time().kappa(token.time))};
  Tensor z = Tensor::empty({1, model_.config().code_size});
  std::ranges::copy(token.z, z.f32());
  const PosteriorTerm term{z, kappa, decoder_.codes()};
  return proposal_of(o, kappa[0] > 0 ? &term : nullptr, model_.maturity_weight(), rank, shaper);
}

Session::Proposal Session::proposal_of(const Tensor& o, const PosteriorTerm* term,
                                       const Tensor& maturity_weight, int64_t rank,
                                       const Shaper& shaper) const {
  Tape tape(Tape::Mode::kInference);
  Tensor logits = head_logits(tape, o, 0, 1, model_.unembedding(), term);
  std::vector<float> storage;
  const std::span<const float> shaped = shaper.shape(logits.values(), storage);
  Proposal proposal;
  proposal.token = sampler_.choose(shaped, rank);
  if (options_.trace) proposal.top = likeliest(shaped, kTraceTop);
  const SoftmaxRow softmax = softmax_row(logits.f32(), logits.cols());
  const auto log_pmax = static_cast<float>(-std::log(softmax.sum));
  proposal.entropy = static_cast<float>(softmax.entropy());
  proposal.maturity = maturity(tape, o, std::span(&log_pmax, 1), std::span(&proposal.entropy, 1),
                               maturity_weight, {}, {})
                          .probability[0];
  return proposal;
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
