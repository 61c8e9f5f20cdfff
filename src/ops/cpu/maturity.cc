#include "ops/maturity.h"

#include "ops/cpu/cpu.h"

#include <cmath>

#include "base/threads/parallel.h"

namespace evo::ops::cpu {
namespace {

constexpr int64_t kMaturityGrain = 64;

struct Features {
  const tensor::Tensor& o;
  std::span<const float> log_pmax, entropy;
};

double logit_of(const Features& in, const float* weight, int64_t row) {
  const int64_t width = in.o.cols();
  const float* o = in.o.row(row);
  double sum = weight[width + 2];
  for (int64_t j = 0; j < width; ++j) sum += static_cast<double>(o[j]) * weight[j];
  const auto r = static_cast<size_t>(row);
  return sum + static_cast<double>(in.log_pmax[r]) * weight[width] +
         static_cast<double>(in.entropy[r]) * weight[width + 1];
}

double maturity_sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

/// -target log(m) - (1 - target) log(1 - m) with m = maturity_sigmoid(logit), finite for every
/// finite logit.
double binary_cross_entropy(double logit, double target) {
  return std::max(logit, 0.0) - target * logit + std::log1p(std::exp(-std::abs(logit)));
}

void add_input_gradient(const Features& in, const float* weight, std::span<const float> dlogit) {
  const int64_t width = in.o.cols();
  const tensor::Tensor grad = in.o.grad();
  parallel_for(in.o.rows(), kMaturityGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float g = dlogit[r];
      for (int64_t j = 0; j < width; ++j) grad.row(r)[j] += g * weight[j];
    }
  });
}

/// Threads share out the columns, so every sum runs over the rows in order.
void add_weight_gradient(const Features& in, const tensor::Tensor& weight,
                         std::span<const float> dlogit) {
  const int64_t width = in.o.cols();
  float* grad = weight.grad().f32();
  parallel_for(width, kMaturityGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < in.o.rows(); ++r) {
      const float g = dlogit[r];
      for (int64_t j = begin; j < end; ++j) grad[j] += g * in.o.row(r)[j];
    }
  });
  for (size_t r = 0; r < dlogit.size(); ++r) {
    grad[width] += dlogit[r] * in.log_pmax[r];
    grad[width + 1] += dlogit[r] * in.entropy[r];
    grad[width + 2] += dlogit[r];
  }
}

}  // namespace

MaturityResult maturity(tensor::Tape& tape, const tensor::Tensor& o,
                        std::span<const float> log_pmax, std::span<const float> entropy,
                        const tensor::Tensor& weight, std::span<const float> targets,
                        std::span<const float> weights) {
  const auto n = static_cast<size_t>(o.rows());
  EVO_CHECK(log_pmax.size() == n && entropy.size() == n);
  EVO_CHECK(n == 0 || weight.numel() == o.cols() + 3);
  EVO_CHECK(targets.size() == weights.size() && (targets.empty() || targets.size() == n));
  const Features in{o, log_pmax, entropy};

  std::vector<double> logits(n);
  parallel_for(o.rows(), kMaturityGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      logits[r] = logit_of(in, weight.f32(), r);
    }
  });

  MaturityResult result;
  result.probability.resize(n);
  std::vector<float> dlogit(targets.size());
  for (size_t r = 0; r < n; ++r) {
    const double m = maturity_sigmoid(logits[r]);
    result.probability[r] = static_cast<float>(m);
    if (targets.empty() || weights[r] == 0.0f) continue;
    result.loss += weights[r] * binary_cross_entropy(logits[r], targets[r]);
    dlogit[r] = static_cast<float>(weights[r] * (m - targets[r]));
  }
  if (tape.recording() && !dlogit.empty()) {
    if (o.wants_grad()) add_input_gradient(in, weight.f32(), dlogit);
    if (weight.wants_grad()) add_weight_gradient(in, weight, dlogit);
  }
  return result;
}

}  // namespace evo::ops::cpu
