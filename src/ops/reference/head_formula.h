// The head and the maturity head as their formulas say, in any precision: what tests compare with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace evo::ops::reference {

/// Dense row-major arrays; see ops/head.h. No kappa: no posterior term.
template <class Real>
struct HeadInput {
  int64_t rows = 0, vocabulary = 0, width = 0, code_size = 0;
  std::vector<Real> h;        // [rows, D]
  std::vector<Real> unembed;  // [V, D]
  std::vector<Real> z;        // [rows, d]
  std::vector<Real> kappa;    // [rows]
  std::vector<Real> codes;    // [V, d]
  std::vector<int32_t> targets;
  Real cap = 0;  // of the logits of U h; 0: none
};

template <class Real>
struct HeadRow {
  std::vector<Real> logits, p, mean_code;
  Real nll = 0, log_pmax = 0, entropy = 0, squared_error = 0;
  int32_t argmax = 0;
};

template <class Real>
void fill_softmax(HeadRow<Real>& row) {
  const auto top = std::max_element(row.logits.begin(), row.logits.end());
  row.argmax = static_cast<int32_t>(top - row.logits.begin());
  Real sum = 0;
  for (const Real logit : row.logits) sum += std::exp(logit - *top);
  row.log_pmax = -std::log(sum);
  for (const Real logit : row.logits) {
    const Real log_p = logit - *top - std::log(sum);
    row.p.push_back(std::exp(log_p));
    if (row.p.back() > 0) row.entropy -= row.p.back() * log_p;
  }
}

/// All of a row but its logits, which are there.
template <class Real>
void complete_row(HeadRow<Real>& row, const std::vector<Real>& codes, int64_t code_size,
                  int64_t target) {
  fill_softmax(row);
  row.nll = row.logits[row.argmax] - row.log_pmax - row.logits[target];
  for (int64_t j = 0; j < code_size; ++j) {
    Real x = 0;
    for (size_t v = 0; v < row.p.size(); ++v) x += row.p[v] * codes[v * code_size + j];
    row.mean_code.push_back(x);
    const Real difference = codes[target * code_size + j] - x;
    row.squared_error += difference * difference;
  }
}

template <class Real>
HeadRow<Real> head_row(const HeadInput<Real>& in, int64_t r) {
  HeadRow<Real> row;
  for (int64_t v = 0; v < in.vocabulary; ++v) {
    Real logit = 0;
    for (int64_t j = 0; j < in.width; ++j) {
      logit += in.unembed[v * in.width + j] * in.h[r * in.width + j];
    }
    if (in.cap > 0) logit = in.cap * std::tanh(logit / in.cap);
    for (int64_t j = 0; j < in.code_size; ++j) {
      logit += in.kappa[r] * in.z[r * in.code_size + j] * in.codes[v * in.code_size + j];
    }
    row.logits.push_back(logit);
  }
  complete_row(row, in.codes, in.code_size, in.targets[r]);
  return row;
}

template <class Real>
Real maturity_logit(const std::vector<Real>& o, Real log_pmax, Real entropy,
                    const std::vector<Real>& weight) {
  const size_t width = o.size();
  Real logit = log_pmax * weight[width] + entropy * weight[width + 1] + weight[width + 2];
  for (size_t j = 0; j < width; ++j) logit += o[j] * weight[j];
  return logit;
}

}  // namespace evo::ops::reference
