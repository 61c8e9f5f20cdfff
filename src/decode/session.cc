#include "decode/session.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "flow/bridge.h"
#include "ops/embedding.h"
#include "ops/head.h"
#include "ops/maturity.h"

namespace evo {
namespace {

constexpr int64_t kPrefillRows = 512;
constexpr size_t kTraceTop = 5;

// Purposes of random streams in a session.
enum SessionStream : uint64_t { kDecisions = 1 };

struct Confidence {
  float log_pmax = 0, entropy = 0;
};

Confidence confidence_of(std::span<const float> logits) {
  const double top = *std::ranges::max_element(logits);
  double mass = 0, weighted = 0;
  for (float logit : logits) {
    const double e = std::exp(logit - top);
    mass += e;
    weighted += e * (logit - top);
  }
  const double log_mass = std::log(mass);
  return {static_cast<float>(-log_mass), static_cast<float>(log_mass - weighted / mass)};
}

std::vector<int32_t> likeliest(std::span<const float> logits) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const size_t count = std::min(kTraceTop, order.size());
  std::ranges::partial_sort(
      order, order.begin() + static_cast<std::ptrdiff_t>(count), [&](int32_t a, int32_t b) {
        return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
      });
  order.resize(count);
  return order;
}

double lenience_of(const DecodeOptions& options) {
  return options.mode == Mode::kEvo ? 1 - options.balance : 1;
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

Session::Session(const Model& model, const DecodeOptions& options, std::span<const int32_t> prompt,
                 int32_t end)
    : model_(model),
      options_(options),
      end_(end),
      cache_(model.config(), model.config().max_position_embeddings),
      text_(prompt.begin(), prompt.end()),
      prompt_size_(prompt.size()),
      random_(options.seed, kDecisions) {
  validate(options_.sampler);
  EVO_CHECK(options_.window >= 1 && options_.steps >= 1);
  EVO_CHECK(options_.mode != Mode::kEvo || (options_.balance >= 0 && options_.balance < 1));
  const int64_t context = model.config().max_position_embeddings;
  EVO_CHECK(!prompt.empty());
  if (static_cast<int64_t>(prompt.size()) >= context) {
    fail(
        "the prompt has {} tokens, but this model's context is {} and must hold at least one more: "
        "shorten it",
        prompt.size(), context);
  }
  if (options_.mode != Mode::kAr && !model.config().flow) {
    fail("this model has no evolving stream: use --mode ar, or train it with flow=true");
  }
  Tape tape(Tape::Mode::kInference);
  if (model.config().flow) codes_ = model.codes(tape);
  prefill();
}

PassTrace Session::step() {
  EVO_CHECK(!done());
  PassTrace trace;
  trace.pass = passes_++;
  fill_window();
  Tape tape(Tape::Mode::kInference);
  const Tensor h = model_.forward(tape, pass_input(), &cache_);
  if (options_.mode == Mode::kDiffusion) {
    evolve_window(h, trace);
  } else {
    verify_drafts(h, trace);
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
  const auto length = static_cast<int64_t>(text_.size());
  return std::min(options_.max_tokens - (length - static_cast<int64_t>(prompt_size_)),
                  model_.config().max_position_embeddings - length);
}

int64_t Session::new_tokens() const {
  return static_cast<int64_t>(text_.size()) - cache_.length();
}

/// Reads all of the prompt but its last token into the cache.
void Session::prefill() {
  while (new_tokens() > 1) {
    const int64_t first = cache_.length();
    const int64_t rows = std::min(kPrefillRows, new_tokens() - 1);
    ForwardInput input;
    for (int64_t r = first; r < first + rows; ++r) {
      input.ids.push_back(text_[static_cast<size_t>(r)]);
      input.positions.push_back(static_cast<int32_t>(r));
      input.ranges.push_back({0, static_cast<int32_t>(r) + 1, 0, 0});
    }
    Tape tape(Tape::Mode::kInference);
    model_.forward(tape, input, &cache_);
  }
}

void Session::fill_window() {
  if (options_.mode == Mode::kAr) return;
  if (options_.mode != Mode::kDiffusion) window_.clear();  // every pass starts from pure noise
  const auto drafts = static_cast<int64_t>(drafts_.size());
  const auto size = static_cast<size_t>(std::clamp<int64_t>(room() - drafts, 0, options_.window));
  const auto width = static_cast<size_t>(model_.config().code_size);
  if (window_.size() > size) window_.resize(size);
  while (window_.size() < size) {
    WindowToken fresh;
    fresh.z.resize(width);
    random_.fill_normal(fresh.z);
    fresh.previous_x.assign(width, 0.0f);
    window_.push_back(std::move(fresh));
  }
}

ForwardInput Session::pass_input() const {
  ForwardInput input;
  const auto cached = static_cast<int32_t>(cache_.length());
  input.ids.assign(text_.begin() + cached, text_.end());
  for (const Draft& draft : drafts_) input.ids.push_back(draft.token);
  const auto mature = static_cast<int32_t>(input.ids.size());
  for (int32_t r = 0; r < mature; ++r) {
    input.positions.push_back(cached + r);
    input.ranges.push_back({0, cached + r + 1, 0, 0});
  }
  if (window_.empty()) return input;
  const auto size = static_cast<int32_t>(window_.size());
  input.z = Tensor::empty({size, model_.config().code_size});
  input.previous_x = Tensor::empty({size, model_.config().code_size});
  for (int32_t r = 0; r < size; ++r) {
    const WindowToken& token = window_[static_cast<size_t>(r)];
    std::ranges::copy(token.z, input.z.row(r));
    std::ranges::copy(token.previous_x, input.previous_x.row(r));
    input.times.push_back(token.time);
    input.positions.push_back(cached + mature + r);
    input.ranges.push_back({0, cached + mature, mature, mature + size});
  }
  return input;
}

/// Verification, and new drafts from what survives.
void Session::verify_drafts(const Tensor& h, PassTrace& trace) {
  Tape tape(Tape::Mode::kInference);
  const auto drafts = static_cast<int64_t>(drafts_.size());
  const int64_t mature = h.rows() - static_cast<int64_t>(window_.size());
  const Tensor logits =
      head_logits(tape, h, mature - drafts - 1, drafts + 1, model_.unembedding(), nullptr);
  const Verdict verdict =
      verify(drafts_, logits.values(), options_.sampler, lenience_of(options_), random_);
  cache_.truncate(cache_.length() - (drafts - verdict.accepted));
  trace.drafted = drafts;
  trace.accepted = verdict.accepted;
  drafted_ += drafts;
  accepted_ += verdict.accepted;

  const int32_t before = text_.back();
  for (int64_t i = 0; i < verdict.accepted; ++i)
    commit(drafts_[static_cast<size_t>(i)].token, trace);
  commit(verdict.next, trace);

  // The hidden states that remain true: the new window's if all drafts were right, else those that
  // were made before the rejected draft. `next` takes the place of the first of them.
  std::vector<float> state(static_cast<size_t>(model_.config().inner_size), 0.0f);
  if (verdict.accepted == drafts) {
    pool_ = std::move(window_);
    for (size_t i = 0; i < pool_.size(); ++i) {
      const int64_t row = mature + static_cast<int64_t>(i);
      pool_[i].h = slice_rows(tape, h, row, row + 1);
    }
    const int32_t last = drafts > 0 ? drafts_.back().token : before;
    if (!pool_.empty()) model_.inner_step(pool_.front().h, last, state);
    pool_.erase(pool_.begin(), pool_.begin() + (pool_.empty() ? 0 : 1));
  } else {
    state = pool_[static_cast<size_t>(verdict.accepted)].inner_state;
    pool_.erase(pool_.begin(), pool_.begin() + verdict.accepted + 1);
  }
  window_.clear();
  drafts_.clear();
  if (!done()) draft_tokens(verdict.next, std::move(state), trace);
}

/// Whether a position is drafted is decided before its token is drawn: that keeps `exact` exact.
void Session::draft_tokens(int32_t previous, std::vector<float> state, PassTrace& trace) {
  // A draft must leave room for the token that its verification yields.
  const auto limit =
      std::min<size_t>(pool_.size(), static_cast<size_t>(std::max<int64_t>(0, room() - 1)));
  double all_kept = 1;
  for (size_t i = 0; i < limit && previous != end_; ++i) {
    const Proposal proposal = propose(pool_[i], previous, state);
    all_kept *= proposal.maturity;
    if (!(all_kept >= options_.draft_threshold * lenience_of(options_))) break;
    pool_[i].inner_state = state;
    previous = proposal.draft.token;
    trace.tokens.push_back(trace_of(pool_[i], proposal, static_cast<int64_t>(text_.size() + i)));
    drafts_.push_back(proposal.draft);
  }
}

/// One step of the flow for every window token; commits what is mature at the left edge.
void Session::evolve_window(const Tensor& h, PassTrace& trace) {
  Tape tape(Tape::Mode::kInference);
  const auto size = static_cast<int64_t>(window_.size());
  const int64_t first_row = h.rows() - size;
  std::vector<float> kappa;
  Tensor z = Tensor::empty({size, model_.config().code_size});
  for (int64_t i = 0; i < size; ++i) {
    WindowToken& token = window_[static_cast<size_t>(i)];
    token.h = slice_rows(tape, h, first_row + i, first_row + i + 1);
    kappa.push_back(static_cast<float>(model_.time().kappa(token.time)));
    std::ranges::copy(token.z, z.row(i));
  }
  const PosteriorTerm term{z, kappa, codes_};
  const HeadResult posterior = head(tape, h, first_row, size, model_.unembedding(), &term, nullptr);

  // The hypothesis is one joint draft of the window, left to right.
  int32_t previous = text_.back();
  std::vector<float> state(static_cast<size_t>(model_.config().inner_size), 0.0f);
  size_t committed = 0;
  const auto base = static_cast<int64_t>(text_.size());
  for (size_t i = 0; i < window_.size() && !ended_; ++i) {
    WindowToken& token = window_[i];
    const Proposal proposal = propose(token, previous, state);
    previous = proposal.draft.token;
    trace.tokens.push_back(trace_of(token, proposal, base + static_cast<int64_t>(i)));
    ++token.age;
    const bool mature =
        token.age >= options_.steps || proposal.maturity >= options_.commit_maturity;
    if (mature && committed == i) {
      commit(proposal.draft.token, trace);
      ++committed;
      continue;
    }
    const std::span<const float> x(posterior.mean_code.row(static_cast<int64_t>(i)),
                                   token.z.size());
    token.previous_x.assign(x.begin(), x.end());
    const double left = 1 - static_cast<double>(token.age) / static_cast<double>(options_.steps);
    move_token(token, proposal.draft.token, std::clamp(left, model_.time().min_time(), 1.0));
  }
  window_.erase(window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(committed));
}

Session::Proposal Session::propose(const WindowToken& token, int32_t previous,
                                   std::vector<float>& state) {
  Tape tape(Tape::Mode::kInference);
  const Tensor o = model_.inner_step(token.h, previous, state);
  const float kappa[] = {static_cast<float>(model_.time().kappa(token.time))};
  Tensor z = Tensor::empty({1, model_.config().code_size});
  std::ranges::copy(token.z, z.f32());
  const PosteriorTerm term{z, kappa, codes_};
  const Tensor logits =
      head_logits(tape, o, 0, 1, model_.unembedding(), kappa[0] > 0 ? &term : nullptr);
  const Confidence confidence = confidence_of(logits.values());
  const MaturityResult mature =
      maturity(tape, o, std::span(&confidence.log_pmax, 1), std::span(&confidence.entropy, 1),
               model_.maturity_weight(), {}, {});
  Proposal proposal;
  proposal.maturity = mature.probability[0];
  proposal.entropy = confidence.entropy;
  proposal.draft.q = distribution(logits.values(), options_.sampler);
  proposal.draft.token = random_.categorical(proposal.draft.q);
  if (options_.trace) proposal.top = likeliest(logits.values());
  return proposal;
}

/// The exact bridge from z at the token's time to the hypothesis' code at time `to`.
void Session::move_token(WindowToken& token, int32_t hypothesis, double to) {
  const double from = token.time;
  const BridgeCoefficients coefficients =
      bridge(model_.time().signal(from), model_.time().signal(std::min(from, to)));
  std::vector<float> noise(token.z.size());
  random_.fill_normal(noise);
  blend(coefficients, token.z, {codes_.row(hypothesis), token.z.size()}, noise, token.z);
  token.time = static_cast<float>(std::min(from, to));
}

void Session::commit(int32_t token, PassTrace& trace) {
  if (done()) return;
  if (token == end_) {
    ended_ = true;
    return;
  }
  text_.push_back(token);
  trace.committed.push_back(token);
}

TokenTrace Session::trace_of(const WindowToken& token, const Proposal& proposal,
                             int64_t position) const {
  TokenTrace trace{
      position, proposal.draft.token, token.time, proposal.entropy, proposal.maturity, {}, {}};
  if (options_.trace) {
    trace.top = proposal.top;
    trace.latent = token.z;
  }
  return trace;
}

}  // namespace evo
