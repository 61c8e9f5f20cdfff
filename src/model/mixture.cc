// The feed-forward part of a sparse layer: a mixture of experts.
#include <algorithm>
#include <numeric>

#include "model/model.h"
#include "ops/activation.h"
#include "ops/softmax.h"

namespace evo::model {
namespace {

/// A row that an expert was chosen for, and the expert's share in its result.
struct RoutedRow {
  int64_t row;
  float share;
};

/// By expert, in rising order of rows: those of each row's `per_token` largest probabilities, of
/// equal ones the first. `logits` [N, experts] become exponentials.
std::vector<std::vector<RoutedRow>> routed_rows(const tensor::Tensor& logits,
                                                const ExpertConfig& config) {
  std::vector<std::vector<RoutedRow>> rows(static_cast<size_t>(config.count));
  std::vector<int64_t> order(rows.size());
  for (int64_t r = 0; r < logits.rows(); ++r) {
    float* const p = logits.row(r);
    double total = ops::softmax_row(p, config.count).sum;
    std::iota(order.begin(), order.end(), 0);
    const auto chosen = order.begin() + config.per_token;
    std::partial_sort(order.begin(), chosen, order.end(),
                      [&](int64_t a, int64_t b) { return p[a] > p[b] || (p[a] == p[b] && a < b); });
    if (config.normalized) {
      total = std::accumulate(order.begin(), chosen, 0.0, [&](double sum, int64_t e) {
        return sum + static_cast<double>(p[e]);
      });
    }
    std::for_each(order.begin(), chosen, [&](int64_t e) {
      const double share = static_cast<double>(p[e]) / total;
      rows[e].push_back({r, static_cast<float>(share)});
    });
  }
  return rows;
}

tensor::Tensor gathered(const tensor::Tensor& x, const std::vector<RoutedRow>& rows) {
  const tensor::Tensor some = tensor::Tensor::empty({std::ssize(rows), x.cols()});
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(x.row(rows[i].row), x.cols(), some.row(static_cast<int64_t>(i)));
  }
  return some;
}

void add_shares(const tensor::Tensor& part, const std::vector<RoutedRow>& rows,
                const tensor::Tensor& sum) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const float* const from = part.row(static_cast<int64_t>(i));
    float* const to = sum.row(rows[i].row);
    for (int64_t c = 0; c < sum.cols(); ++c) to[c] += rows[i].share * from[c];
  }
}

}  // namespace

/// Experts add up in their order, whatever rows there are: a row's bits depend on it alone.
tensor::Tensor Model::mixture(tensor::Tape& tape, const Layer& layer,
                              const tensor::Tensor& n) const {
  EVO_CHECK(!tape.recording());
  const tensor::Tensor sum = tensor::Tensor::zeros(n.shape());
  const auto routed = routed_rows(ops::linear(tape, n, layer.router), config_.experts);
  for (size_t e = 0; e < routed.size(); ++e) {
    if (routed[e].empty()) continue;
    const Expert& expert = layer.experts[e];
    const tensor::Tensor gate_up = ops::linear(tape, gathered(n, routed[e]), expert.gate_up);
    const tensor::Tensor active = ops::activate_gated(tape, gate_up, config_.activation);
    add_shares(ops::linear(tape, active, expert.down), routed[e], sum);
  }
  return sum;
}

}  // namespace evo::model
