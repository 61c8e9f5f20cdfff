#include "decode/pass_cost.h"

#include <algorithm>
#include <chrono>

#include "ops/embedding.h"
#include "ops/head.h"

namespace evo {
namespace {

constexpr int64_t kMeasuredRows[] = {1, 4, 8, 16, 32};
constexpr double kEnoughSeconds = 0.004;  // per measurement: noise is then a few percent
constexpr int kMostRuns = 5;

/// The shortest of a few runs, after one that touches everything.
template <class Run>
double shortest(const Run& run) {
  using Clock = std::chrono::steady_clock;
  run();
  double best = 1e30, spent = 0;
  for (int i = 0; i < kMostRuns && spent < kEnoughSeconds; ++i) {
    const auto start = Clock::now();
    run();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

/// One mature row, the rest evolving at t = 1.
ForwardInput rows_of(const Model& model, int64_t rows) {
  ForwardInput input;
  const auto n = static_cast<int32_t>(rows);
  input.ids = {0};
  for (int32_t r = 0; r < n; ++r) {
    input.positions.push_back(r);
    input.ranges.push_back(r == 0 ? KeyRange{0, 1, 0, 0} : KeyRange{0, 1, 1, n});
  }
  if (rows == 1) return input;
  input.z = Tensor::zeros({rows - 1, model.config().code_size});
  input.previous_x = input.z;
  input.times.assign(static_cast<size_t>(rows - 1), 1.0f);
  return input;
}

}  // namespace

PassCost PassCost::measured(const Model& model) {
  PassCost cost;
  const int64_t context = model.config().max_position_embeddings;
  KvCache cache(model.config(), context);
  Tensor h;
  for (int64_t rows : kMeasuredRows) {
    if (rows > context) break;
    const ForwardInput input = rows_of(model, rows);
    const double pass = shortest([&] {
      cache.truncate(0);
      Tape tape(Tape::Mode::kInference);
      h = model.forward(tape, input, &cache);
    });
    const double head = shortest([&] {
      Tape tape(Tape::Mode::kInference);
      head_logits(tape, h, 0, rows, model.unembedding(), nullptr);
    });
    for (Curve* curve : {&cost.forward_, &cost.head_}) {
      curve->rows.push_back(static_cast<double>(rows));
    }
    cost.forward_.seconds.push_back(pass);
    cost.head_.seconds.push_back(head);
  }
  if (!model.config().flow) return cost;
  Tape tape(Tape::Mode::kInference);
  const Tensor row = slice_rows(tape, h, 0, 1);
  std::vector<float> state(static_cast<size_t>(model.config().inner_size), 0.0f);
  cost.from_window_ = shortest([&] {
    head_logits(tape, model.inner_step(row, 0, state), 0, 1, model.unembedding(), nullptr);
  });
  if (!model.config().drafts_ahead()) return cost;
  for (const int64_t sessions : {1, 8}) {
    const auto count = static_cast<size_t>(sessions);
    const Tensor hs = Tensor::zeros({sessions, model.config().hidden_size});
    const Tensor states = Tensor::zeros({sessions, model.config().ahead_states()});
    const std::vector<int32_t> zeros(count, 0);
    const std::vector<const KvCache*> caches(count, &cache);
    cost.ahead_.rows.push_back(static_cast<double>(sessions));
    cost.ahead_.seconds.push_back(shortest([&] {
      head_logits(tape, model.ahead_step(hs, zeros, zeros, caches, states), 0, sessions,
                  model.ahead_unembedding(), nullptr);
    }));
  }
  return cost;
}

PassCost PassCost::nominal() {
  PassCost cost;
  cost.forward_ = {{1, 8, 16}, {0.9, 1.17, 1.98}};
  cost.head_ = {{1, 8, 16}, {0.1, 0.13, 0.22}};
  cost.ahead_ = {{1, 8}, {0.05, 0.065}};
  cost.from_window_ = 0.1;
  return cost;
}

double PassCost::pass(double rows, double heads) const {
  return forward_.at(rows) + head_.at(heads);
}

double PassCost::draft(DraftSource source, double sessions) const {
  if (source == DraftSource::kNone) return 0;
  return source == DraftSource::kWindow ? from_window_ : ahead_.at(sessions) / sessions;
}

double PassCost::Curve::at(double n) const {
  size_t i = 1;
  while (i + 1 < rows.size() && rows[i] < n) ++i;
  if (rows.size() == 1) return seconds[0] * n / rows[0];
  const double slope = (seconds[i] - seconds[i - 1]) / (rows[i] - rows[i - 1]);
  // Noise must not make more rows cheaper.
  return seconds[i - 1] + std::max(0.0, slope) * (n - rows[i - 1]);
}

}  // namespace evo
