#include "eval/scorer.h"

#include <algorithm>
#include <numeric>

#include "base/shuffle.h"
#include "flow/bridge.h"
#include "flow/elbo.h"
#include "model/forward_texts.h"
#include "ops/codes.h"
#include "ops/head.h"

namespace evo::eval {
namespace {

constexpr uint64_t kScoreStream = 0x73636F72;

/// Context and continuation, less the last token, which no row needs to be there for.
std::vector<int32_t> text_of(const ScoreRequest& request) {
  std::vector<int32_t> text(request.context.begin(), request.context.end());
  text.insert(text.end(), request.continuation.begin(), request.continuation.end() - 1);
  return text;
}

int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto [in_a, in_b] = std::ranges::mismatch(a, b);
  return in_a - a.begin();
}

/// The evolving rows of all continuations: blocks, each with one time.
struct ScoredRows {
  std::vector<int32_t> targets;
  std::vector<ops::KeyRange> ranges;  // of the pass, whose first rows are mature
  std::vector<int32_t> positions;
  std::vector<size_t> block_of;  // of each row
  size_t blocks = 0;
};

ScoredRows evolving_rows(std::span<const ScoreRequest> requests, const SharedRows& mature,
                         const flow::Path& path) {
  ScoredRows rows;
  const auto first_row = static_cast<int32_t>(mature.input().mature());
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto [context, continuation] = requests[i];
    const int64_t length = std::ssize(continuation);
    const int64_t block = flow::tokens_together(path, static_cast<int>(length));
    const auto text_begin = static_cast<int32_t>(mature.row(i, 0));
    for (int64_t first = 0; first < length; first += block) {
      const int64_t last = std::min(first + block, length);
      const auto seen = static_cast<int32_t>(mature.row(i, std::ssize(context) + first - 1) + 1);
      const auto begin = first_row + static_cast<int32_t>(rows.targets.size());
      const auto end = begin + static_cast<int32_t>(last - first);
      for (int64_t j = first; j < last; ++j) {
        rows.targets.push_back(continuation[j]);
        rows.ranges.push_back({text_begin, seen, begin, end});
        rows.positions.push_back(static_cast<int32_t>(std::ssize(context) + j));
        rows.block_of.push_back(rows.blocks);
      }
      ++rows.blocks;
    }
  }
  return rows;
}

/// The likelihood bound of rows at given times.
class PosteriorPass {
 public:
  PosteriorPass(const model::Model& model, const SharedRows& mature, const ScoredRows& evolving,
                bool self_condition)
      : model_(model),
        evolving_(evolving),
        input_(mature.input()),
        self_condition_(self_condition) {
    append(input_.ranges, evolving.ranges);
    append(input_.positions, evolving.positions);
  }

  /// Posterior statistics with times [rows] and noise drawn from `random`.
  ops::HeadResult at(std::vector<float> times, Random& random) {
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor codes = model_.codes(tape);
    const auto rows = static_cast<int64_t>(times.size());
    const int64_t width = model_.config().code_size;
    std::vector<float> signal(times.size()), kappa(times.size());
    model_.time().signal(times, signal);
    model_.time().kappa(times, kappa);
    tensor::Tensor noise = tensor::Tensor::empty({rows, width});
    random.fill_normal(noise.values());
    input_.z = ops::gaussian_bridge(tape, codes, evolving_.targets, signal, noise);
    input_.previous_x = tensor::Tensor::zeros({rows, width});
    input_.times = std::move(times);
    const std::vector<float> ones(input_.times.size(), 1.0f);
    const ops::HeadLosses losses{evolving_.targets, ones};
    const ops::PosteriorTerm term{input_.z, kappa, codes};
    const auto pass = [&] {
      const tensor::Tensor h = model_.forward(tape, input_);
      return ops::head(tape, h, input_.mature(), rows, model_.unembedding(), &term, &losses);
    };
    ops::HeadResult result = pass();
    if (!self_condition_) return result;
    input_.previous_x = result.mean_code;
    return pass();
  }

 private:
  template <class T>
  static void append(std::vector<T>& to, const std::vector<T>& more) {
    to.insert(to.end(), more.begin(), more.end());
  }

  const model::Model& model_;
  const ScoredRows& evolving_;
  model::ForwardInput input_;
  bool self_condition_;
};

/// Low-discrepancy times, one per block, each uniform by itself.
std::vector<float> block_times(const ScoredRows& rows, double min_time, Random& random) {
  std::vector<double> times =
      flow::stratified_times(static_cast<int>(rows.blocks), random.uniform(), min_time);
  shuffle(times, random);
  std::vector<float> of_rows;
  for (const size_t block : rows.block_of) of_rows.push_back(static_cast<float>(times[block]));
  return of_rows;
}

}  // namespace

double TokenScores::total() const {
  return std::accumulate(nats.begin(), nats.end(), 0.0);
}

SharedRows::SharedRows(std::span<const std::vector<int32_t>> texts, bool share) {
  size_t first = 0;
  while (first < texts.size()) {
    // A text joins the group as long as that saves rows, although the group then shares less.
    int64_t shared = std::ssize(texts[first]), members = 1;
    size_t last = first + 1;
    for (; share && last < texts.size(); ++last, ++members) {
      const int64_t with_it =
          common_prefix(std::span(texts[first]).subspan(0, shared), texts[last]);
      if (with_it * members <= shared * (members - 1)) break;
      shared = with_it;
    }
    add_group(texts.subspan(first, last - first), last - first > 1 ? shared : 0);
    first = last;
  }
}

void SharedRows::add_group(std::span<const std::vector<int32_t>> texts, int64_t shared) {
  const auto begin = static_cast<int32_t>(input_.mature());
  for (int32_t i = 0; i < shared; ++i) {
    add_row(texts[0][i], i, {begin, begin + i + 1, 0, 0});
  }
  for (const std::vector<int32_t>& text : texts) {
    const auto own = static_cast<int32_t>(input_.mature());
    places_.push_back({begin, shared, own});
    for (int64_t i = shared; i < std::ssize(text); ++i) {
      const auto end = static_cast<int32_t>(input_.mature()) + 1;
      const ops::KeyRange range =
          shared == 0 ? ops::KeyRange{own, end, 0, 0}
                      : ops::KeyRange{begin, begin + static_cast<int32_t>(shared), own, end};
      add_row(text[i], i, range);
    }
  }
}

void SharedRows::add_row(int32_t token, int64_t position, const ops::KeyRange& range) {
  input_.ids.push_back(token);
  input_.positions.push_back(static_cast<int32_t>(position));
  input_.ranges.push_back(range);
}

int64_t SharedRows::row(size_t text, int64_t index) const {
  const Place& place = places_[text];
  return index < place.shared ? place.shared_begin + index : place.own_begin + index - place.shared;
}

Scorer::Scorer(const model::Model& model, const ScoreOptions& options)
    : model_(model), options_(options) {
  if (is_bound() && !model.config().flow) {
    fail("this model has no evolving stream: only the path ar can be scored");
  }
}

std::vector<TokenScores> Scorer::score(std::span<const ScoreRequest> requests,
                                       uint64_t stream) const {
  if (requests.empty()) return {};
  return is_bound() ? bound(requests, stream) : exact(requests);
}

std::vector<TokenScores> Scorer::exact(std::span<const ScoreRequest> requests) const {
  std::vector<std::vector<int32_t>> texts;
  std::vector<int32_t> targets;
  for (const ScoreRequest& request : requests) {
    EVO_CHECK(!request.context.empty() && !request.continuation.empty());
    texts.push_back(text_of(request));
    targets.insert(targets.end(), request.continuation.begin(), request.continuation.end());
  }
  // In a sliding window, how far a row sees follows from its place among the rows; in a cache, rows
  // are of one text.
  const bool shared =
      !model_.config().has_windows() && model_.cache_format() == ops::CacheFormat::kF32;
  const SharedRows rows(texts, shared);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = shared ? model_.forward(tape, rows.input())
                                  : model::forward_texts(model_, tape, rows.input());
  tensor::Tensor scored = tensor::Tensor::empty({std::ssize(targets), h.cols()});
  int64_t to = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    for (int64_t j = 0; j < std::ssize(requests[i].continuation); ++j) {
      std::copy_n(h.row(rows.row(i, std::ssize(requests[i].context) - 1 + j)), h.cols(),
                  scored.row(to++));
    }
  }
  const std::vector<float> ones(targets.size(), 1.0f);
  const ops::HeadLosses losses{targets, ones};
  const ops::HeadResult result =
      ops::head(tape, scored, 0, scored.rows(), model_.unembedding(), nullptr, &losses);

  std::vector<TokenScores> scores;
  size_t row = 0;
  for (const ScoreRequest& request : requests) {
    TokenScores& score = scores.emplace_back();
    score.greedy = true;
    for (size_t j = 0; j < request.continuation.size(); ++j, ++row) {
      score.nats.push_back(result.nll[row]);
      score.greedy = score.greedy && result.argmax[row] == targets[row];
    }
  }
  return scores;
}

/// The integral of 1/2 |c - x|^2 over the SNR path, estimated at one time per block, plus the
/// cross-entropy at the cleanest level (flow/elbo.h).
std::vector<TokenScores> Scorer::bound(std::span<const ScoreRequest> requests,
                                       uint64_t stream) const {
  std::vector<std::vector<int32_t>> texts;
  for (const ScoreRequest& request : requests) texts.push_back(text_of(request));
  const SharedRows mature(texts, false);  // a block sees one range of mature rows
  const ScoredRows evolving = evolving_rows(requests, mature, options_.path);
  PosteriorPass posterior(model_, mature, evolving, options_.self_condition);
  const flow::EntropicTime& time = model_.time();
  const auto cleanest = static_cast<float>(time.min_time());
  Random random(options_.seed, stream_id({kScoreStream, stream}));

  std::vector<double> nats(evolving.targets.size(), 0.0);
  for (int64_t draw = 0; draw < options_.time_samples; ++draw) {
    const std::vector<float> times = block_times(evolving, time.min_time(), random);
    const ops::HeadResult at_times = posterior.at(times, random);
    const ops::HeadResult at_end = posterior.at(std::vector<float>(times.size(), cleanest), random);
    for (size_t i = 0; i < nats.size(); ++i) {
      const double rate = flow::elbo_rate(at_times.squared_error[i], time.snr_slope(times[i]));
      nats[i] += (flow::elbo_weight(time.min_time()) * rate + at_end.nll[i]) /
                 static_cast<double>(options_.time_samples);
    }
  }
  std::vector<TokenScores> scores;
  auto next = nats.begin();
  for (const ScoreRequest& request : requests) {
    const auto end = next + std::ssize(request.continuation);
    scores.push_back({{next, end}, false});
    next = end;
  }
  return scores;
}

}  // namespace evo::eval
