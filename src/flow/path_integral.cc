#include "flow/path_integral.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace evo::flow {
namespace {

/// The observation process of one text and the denoiser's latest view of it.
class Simulation {
 public:
  Simulation(std::span<const int> tokens, std::span<const double> codes, int d,
             const Denoiser& denoiser, Random& random)
      : n_(tokens.size()),
        d_(static_cast<size_t>(d)),
        vocabulary_(codes.size() / d_),
        tokens_(tokens),
        codes_(codes),
        denoiser_(denoiser),
        random_(random),
        snr_(n_, 0.0),
        observed_(n_ * d_, 0.0),
        latents_(n_ * d_),
        posterior_(n_ * vocabulary_),
        error_(n_ * d_) {
    look();
  }

  /// Observes every token up to `target` [n]; returns sum_i (c_i - x_i) dW_i with the x last seen.
  double advance(std::span<const double> target) {
    double martingale = 0;
    for (size_t i = 0; i < n_; ++i) {
      const double step = target[i] - snr_[i];
      EVO_CHECK(step >= 0);
      if (step == 0) continue;
      const double root = std::sqrt(step);
      for (size_t k = 0; k < d_; ++k) {
        const double increment = root * static_cast<double>(random_.normal());
        observed_[i * d_ + k] += step * code(i)[k] + increment;
        martingale += error_[i * d_ + k] * increment;
      }
      snr_[i] = target[i];
    }
    return martingale;
  }

  /// Asks the denoiser about the present observation.
  void look() {
    for (size_t i = 0; i < n_; ++i) {
      const double scale = std::sqrt(snr_[i] * (1 + snr_[i]));
      for (size_t k = 0; k < d_; ++k) {
        const size_t at = i * d_ + k;
        latents_[at] = scale > 0 ? observed_[at] / scale : static_cast<double>(random_.normal());
      }
    }
    denoiser_(latents_, snr_, posterior_);
    for (size_t i = 0; i < n_; ++i) update_error(i);
  }

  /// |c_i - x_i|^2 with the x last seen.
  [[nodiscard]] double squared_error(size_t i) const {
    double sum = 0;
    for (size_t k = 0; k < d_; ++k) sum += error_[i * d_ + k] * error_[i * d_ + k];
    return sum;
  }

  [[nodiscard]] double cross_entropy() const {
    double sum = 0;
    for (size_t i = 0; i < n_; ++i) {
      sum -= std::log(posterior_[i * vocabulary_ + static_cast<size_t>(tokens_[i])]);
    }
    return sum;
  }

  [[nodiscard]] const std::vector<double>& snr() const { return snr_; }
  [[nodiscard]] const std::vector<double>& posterior() const { return posterior_; }

 private:
  [[nodiscard]] const double* code(size_t i) const {
    return codes_.data() + static_cast<size_t>(tokens_[i]) * d_;
  }

  void update_error(size_t i) {
    for (size_t k = 0; k < d_; ++k) {
      double mean = 0;
      for (size_t v = 0; v < vocabulary_; ++v) {
        mean += posterior_[i * vocabulary_ + v] * codes_[v * d_ + k];
      }
      error_[i * d_ + k] = code(i)[k] - mean;
    }
  }

  size_t n_, d_, vocabulary_;
  std::span<const int> tokens_;
  std::span<const double> codes_;
  const Denoiser& denoiser_;
  Random& random_;
  std::vector<double> snr_;        // [n]
  std::vector<double> observed_;   // [n, d]  y
  std::vector<double> latents_;    // [n, d]  z
  std::vector<double> posterior_;  // [n, V]
  std::vector<double> error_;      // [n, d]  c - x
};

}  // namespace

Schedule fixed_schedule(const Path& path, int n, std::vector<double> levels) {
  EVO_CHECK(n >= 1 && !levels.empty());
  const int group = tokens_together(path, n);
  int begin = 0;
  size_t level = 0;
  return [=, levels = std::move(levels)](std::span<const double>, std::span<double> snr) mutable {
    if (begin >= n) return false;
    const int end = std::min(n, begin + group);
    std::fill(snr.begin() + begin, snr.begin() + end, levels[level]);
    if (++level == levels.size()) {
      level = 0;
      begin = end;
    }
    return true;
  };
}

PathIntegral integrate_path(std::span<const int> tokens, std::span<const double> codes, int d,
                            const Denoiser& denoiser, const Schedule& schedule, Random& random) {
  EVO_CHECK(d >= 1 && codes.size() % static_cast<size_t>(d) == 0);
  Simulation simulation(tokens, codes, d, denoiser, random);
  PathIntegral integral;
  std::vector<double> corner = simulation.snr();
  std::vector<double> inside(corner.size());
  while (schedule(simulation.posterior(), corner)) {
    const std::vector<double> start = simulation.snr();
    const double fraction = random.uniform();
    for (size_t i = 0; i < corner.size(); ++i) {
      inside[i] = start[i] + fraction * (corner[i] - start[i]);
    }
    integral.martingale += simulation.advance(inside);
    simulation.look();
    for (size_t i = 0; i < corner.size(); ++i) {
      integral.flow += 0.5 * simulation.squared_error(i) * (corner[i] - start[i]);
    }
    integral.martingale += simulation.advance(corner);
  }
  simulation.look();
  integral.reconstruction = simulation.cross_entropy();
  return integral;
}

}  // namespace evo::flow
