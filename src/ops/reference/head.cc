// The head, row by row, with all of its logits.
#include "ops/reference/head_formula.h"

#include <cmath>

#include "base/error.h"
#include "ops/reference/products.h"
#include "ops/reference/reference.h"
#include "ops/reference/tensors.h"

namespace evo::ops::reference {
namespace {

/// What goes into the logits, in double.
struct Inputs {
  Inputs(const tensor::Tape& tape, const tensor::Tensor& hidden, int64_t begin, int64_t rows,
         const Unembedding& unembed, const PosteriorTerm* posterior)
      : h(matrix_of(hidden.row(begin), rows, hidden.shape()[1])), term(posterior) {
    if (!tape.recording() && unembed.packed) {
      const tensor::Tensor product = tensor::Tensor::empty({rows, unembed.packed->out()});
      unembed.packed->multiply(hidden.row(begin), rows, product.f32());
      logits = matrix_of(product);
    } else {
      h = rounded(std::move(h), tape.precision());
      u = rounded(matrix_of(unembed.value), tape.precision());
      logits = product_transposed(h, u);
    }
    if (unembed.cap > 0) cap_logits(static_cast<double>(unembed.cap));
    if (term != nullptr) add_posterior();
  }

  void cap_logits(double cap) {
    cap_slopes = logits;
    for (size_t i = 0; i < logits.values.size(); ++i) {
      const double bent = std::tanh(logits.values[i] / cap);
      logits.values[i] = cap * bent;
      cap_slopes.values[i] = 1 - bent * bent;
    }
  }

  void add_posterior() {
    codes = matrix_of(term->codes);
    z = matrix_of(term->z);
    for (int64_t r = 0; r < z.rows; ++r) {
      for (int64_t j = 0; j < z.cols; ++j) z.at(r, j) *= kappa(r);
    }
    const Matrix added = product_transposed(z, codes);
    for (size_t i = 0; i < added.values.size(); ++i) logits.values[i] += added.values[i];
  }

  [[nodiscard]] double kappa(int64_t r) const { return static_cast<double>(term->kappa[r]); }

  Matrix h, u{0, 0}, logits{0, 0};
  Matrix cap_slopes{0, 0};  // of capped over plain logits; empty without a cap
  const PosteriorTerm* term;
  Matrix codes{0, 0}, z{0, 0};  // z is kappa z
};

/// dlogits = weight (p - [target]) of each row.
Matrix cross_entropy_slopes(const std::vector<HeadRow<double>>& rows, const HeadLosses& losses) {
  Matrix slopes(std::ssize(rows), rows.empty() ? 0 : std::ssize(rows[0].p));
  for (int64_t r = 0; r < slopes.rows; ++r) {
    const auto i = static_cast<size_t>(r);
    const auto weight = static_cast<double>(losses.weights[i]);
    if (weight == 0) continue;
    for (int64_t v = 0; v < slopes.cols; ++v) {
      slopes.at(r, v) = weight * rows[i].p[v];
    }
    slopes.at(r, losses.targets[i]) -= weight;
  }
  return slopes;
}

/// With g = d/dx q |c_t - x|^2 = -2 q (c_t - x): dc_t -= g, dc_v += p_v g, and through the logits
/// dlogit_v = p_v (g . c_v - g . x), dc_v += dlogit_v kappa z.
void add_squared_error_gradient(const Inputs& in, const std::vector<HeadRow<double>>& rows,
                                const HeadLosses& losses) {
  Matrix dcodes(in.codes.rows, in.codes.cols);
  for (int64_t r = 0; r < std::ssize(rows); ++r) {
    const auto i = static_cast<size_t>(r);
    const double q =
        losses.squared_weights.empty() ? 0.0 : static_cast<double>(losses.squared_weights[i]);
    if (q == 0) continue;
    const std::vector<double>& x = rows[i].mean_code;
    std::vector<double> g;
    for (int64_t j = 0; j < dcodes.cols; ++j) {
      g.push_back(-2 * q * (in.codes.at(losses.targets[i], j) - x[j]));
      dcodes.at(losses.targets[i], j) -= g.back();
    }
    for (int64_t v = 0; v < dcodes.rows; ++v) {
      const double p = rows[i].p[v];
      double slope = 0;
      for (int64_t j = 0; j < dcodes.cols; ++j) {
        slope += p * g[j] * (in.codes.at(v, j) - x[j]);
      }
      for (int64_t j = 0; j < dcodes.cols; ++j) {
        dcodes.at(v, j) += p * g[j] + slope * in.z.at(r, j);
      }
    }
  }
  add_gradient(in.term->codes, dcodes);
}

void add_gradients(const tensor::Tape& tape, const Inputs& in,
                   const std::vector<HeadRow<double>>& rows, const tensor::Tensor& h,
                   int64_t row_begin, const Unembedding& unembed, const HeadLosses& losses) {
  using CodeGradient = HeadLosses::CodeGradient;
  const Matrix slopes = cross_entropy_slopes(rows, losses);
  Matrix of_product = slopes;
  for (size_t i = 0; i < in.cap_slopes.values.size(); ++i) {
    of_product.values[i] *= in.cap_slopes.values[i];
  }
  const Matrix read = rounded(std::move(of_product), tape.precision());
  add_gradient(h, product_transposed(read, transposed(in.u)), row_begin);
  add_gradient(unembed.value, product_transposed(transposed(read), transposed(in.h)));
  if (in.term == nullptr) return;
  Matrix dz = product_transposed(slopes, transposed(in.codes));
  for (int64_t r = 0; r < dz.rows; ++r) {
    for (int64_t j = 0; j < dz.cols; ++j) dz.at(r, j) *= in.kappa(r);
  }
  add_gradient(in.term->z, dz);
  if (!in.term->codes.wants_grad()) return;
  if (losses.code_gradient == CodeGradient::kCrossEntropy) {
    add_gradient(in.term->codes, product_transposed(transposed(slopes), transposed(in.z)));
  } else if (losses.code_gradient == CodeGradient::kSquaredError) {
    add_squared_error_gradient(in, rows, losses);
  }
}

}  // namespace

HeadResult head(tensor::Tape& tape, const tensor::Tensor& h, int64_t row_begin, int64_t rows,
                const Unembedding& unembed, const PosteriorTerm* term, const HeadLosses* losses) {
  const Inputs in(tape, h, row_begin, rows, unembed, term);
  std::vector<HeadRow<double>> all;
  HeadResult result;
  Matrix mean_code(rows, in.codes.cols);
  for (int64_t r = 0; r < rows; ++r) {
    const auto i = static_cast<size_t>(r);
    const double weight = losses ? static_cast<double>(losses->weights[i]) : 0;
    const bool squared =
        losses && !losses->squared_weights.empty() && losses->squared_weights[i] != 0;
    const bool has_target = weight != 0 || squared;
    HeadRow<double>& row = all.emplace_back();
    const auto begin = in.logits.values.begin() + r * in.logits.cols;
    row.logits.assign(begin, begin + in.logits.cols);
    complete_row(row, in.codes.values, in.codes.cols, has_target ? losses->targets[i] : 0);
    result.nll.push_back(has_target ? static_cast<float>(row.nll) : 0);
    result.log_pmax.push_back(static_cast<float>(row.log_pmax));
    result.entropy.push_back(static_cast<float>(row.entropy));
    result.squared_error.push_back(has_target ? static_cast<float>(row.squared_error) : 0);
    result.argmax.push_back(row.argmax);
    if (weight != 0) result.loss += weight * row.nll;
    for (int64_t j = 0; j < mean_code.cols; ++j) {
      mean_code.at(r, j) = row.mean_code[j];
    }
  }
  if (term != nullptr) {
    result.mean_code = tensor::Tensor::empty({rows, mean_code.cols});
    store(mean_code, result.mean_code);
  }
  if (tape.recording() && losses != nullptr) {
    add_gradients(tape, in, all, h, row_begin, unembed, *losses);
  }
  return result;
}

tensor::Tensor head_logits(tensor::Tape& tape, const tensor::Tensor& h, int64_t row_begin,
                           int64_t rows, const Unembedding& unembed, const PosteriorTerm* term) {
  const Inputs in(tape, h, row_begin, rows, unembed, term);
  const tensor::Tensor logits = tensor::Tensor::empty({rows, in.logits.cols});
  store(in.logits, logits);
  return logits;
}

MaturityResult maturity(tensor::Tape& tape, const tensor::Tensor& o,
                        std::span<const float> log_pmax, std::span<const float> entropy,
                        const tensor::Tensor& weight, std::span<const float> targets,
                        std::span<const float> weights) {
  const Matrix inputs = matrix_of(o);
  const std::vector<double> w = matrix_of(weight).values;
  Matrix dinputs(inputs.rows, inputs.cols), dweight(std::ssize(w), 1);
  MaturityResult result;
  for (int64_t r = 0; r < inputs.rows; ++r) {
    const auto i = static_cast<size_t>(r);
    std::vector<double> features;
    for (int64_t j = 0; j < inputs.cols; ++j) features.push_back(inputs.at(r, j));
    const auto top = static_cast<double>(log_pmax[i]), spread = static_cast<double>(entropy[i]);
    const double logit = maturity_logit(features, top, spread, w);
    result.probability.push_back(static_cast<float>(sigmoid(logit)));
    if (targets.empty() || weights[i] == 0) continue;
    const auto target = static_cast<double>(targets[i]), scale = static_cast<double>(weights[i]);
    // -log sigmoid(logit) = log(1 + e^-logit), without overflow
    const double softplus = std::max(logit, 0.0) + std::log1p(std::exp(-std::abs(logit)));
    result.loss += scale * (softplus - target * logit);
    const double slope = scale * (sigmoid(logit) - target);
    features.insert(features.end(), {top, spread, 1.0});
    for (size_t j = 0; j < features.size(); ++j) {
      dweight.values[j] += slope * features[j];
      if (std::cmp_less(j, inputs.cols)) dinputs.at(r, static_cast<int64_t>(j)) = slope * w[j];
    }
  }
  if (tape.recording() && !targets.empty()) {
    add_gradient(o, dinputs);
    add_gradient(weight, dweight);
  }
  return result;
}

}  // namespace evo::ops::reference
