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
  const auto measure = [&](DraftSource source, int64_t size, const Weight& head, const auto& step) {
    std::vector<float> state(static_cast<size_t>(size), 0.0f);
    cost.draft_[static_cast<size_t>(source)] =
        shortest([&] { head_logits(tape, step(state), 0, 1, head, nullptr); });
  };
  measure(DraftSource::kWindow, model.config().inner_size, model.unembedding(),
          [&](std::span<float> state) { return model.inner_step(row, 0, state); });
  if (!model.config().drafts_ahead()) return cost;
  measure(DraftSource::kAhead, model.config().ahead_states(), model.ahead_unembedding(),
          [&](std::span<float> state) { return model.ahead_step(row, 0, 1, cache, state); });
  return cost;
}

PassCost PassCost::nominal() {
  PassCost cost;
  cost.forward_ = {{1, 8, 16}, {0.9, 1.17, 1.98}};
  cost.head_ = {{1, 8, 16}, {0.1, 0.13, 0.22}};
  cost.draft_ = {0, 0.1, 0.1};
  return cost;
}

double PassCost::pass(double rows, double heads) const {
  return forward_.at(rows) + head_.at(heads);
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
