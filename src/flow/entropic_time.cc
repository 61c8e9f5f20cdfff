#include "flow/entropic_time.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace evo::flow {
namespace {

void check_knots(std::span<const double> log_snr, std::span<const double> time) {
  // exp() of the SNR and its square stay far from overflow inside these bounds.
  constexpr double kLimit = 40;
  if (log_snr.size() != time.size() || log_snr.size() < 2) {
    fail(
        "entropic time table: expected at least 2 knots and as many times as SNRs, found {} SNRs "
        "and {} times; the checkpoint is damaged",
        log_snr.size(), time.size());
  }
  for (size_t k = 0; k < time.size(); ++k) {
    if (!(std::abs(log_snr[k]) <= kLimit) || !(time[k] > 0 && time[k] < 1)) {
      fail(
          "entropic time table: knot {} has log SNR {} and time {}; expected a log SNR within "
          "+-{} and a time inside (0, 1); the checkpoint is damaged",
          k, log_snr[k], time[k], kLimit);
    }
    if (k > 0 && !(log_snr[k] > log_snr[k - 1] && time[k] < time[k - 1])) {
      fail(
          "entropic time table: from knot {} to {} the log SNR goes {} -> {} (must rise) and the "
          "time {} -> {} (must fall); the checkpoint is damaged",
          k - 1, k, log_snr[k - 1], log_snr[k], time[k - 1], time[k]);
    }
  }
}

template <class Fn>
void map_batch(std::span<const float> in, std::span<float> out, const Fn& fn) {
  EVO_CHECK(in.size() == out.size());
  for (size_t i = 0; i < in.size(); ++i) {
    out[i] = static_cast<float>(fn(static_cast<double>(in[i])));
  }
}

}  // namespace

EntropicTime::EntropicTime(std::vector<double> log_snr, std::vector<double> time)
    : log_snr_(std::move(log_snr)), time_(std::move(time)) {
  check_knots(log_snr_, time_);
}

// Measured over random codes of 16 to 64 dimensions and Zipf-distributed vocabularies of some
// thousand tokens: with r = (d / 2) log(1 + g) / H, the channel's capacity over the information
// to be sent, t = exp(-r - 0.6 r^2) within a few per cent of the range, whatever d is.
EntropicTime EntropicTime::standard(int code_size) {
  EVO_CHECK(code_size >= 1);
  constexpr int kKnots = 64;
  constexpr double kNats = 6.5, kBend = 0.6, kLastLogit = 6.9;  // t from 0.999 to 0.001
  std::vector<double> log_snr, time;
  for (int k = 0; k < kKnots; ++k) {
    const double logit = kLastLogit * (1 - 2.0 * k / (kKnots - 1));
    const double t = 1 / (1 + std::exp(-logit));
    const double r = (std::sqrt(1 - 4 * kBend * std::log(t)) - 1) / (2 * kBend);
    log_snr.push_back(std::log(std::expm1(2 * kNats * r / code_size)));
    time.push_back(t);
  }
  return {std::move(log_snr), std::move(time)};
}

size_t EntropicTime::segment(double t) const {
  const auto first_not_above = std::lower_bound(time_.begin(), time_.end(), t,
                                                [](double knot, double x) { return knot > x; });
  const auto index = static_cast<size_t>(first_not_above - time_.begin());
  return std::clamp<size_t>(index, 1, time_.size() - 1) - 1;
}

double EntropicTime::snr(double t) const {
  EVO_CHECK(t >= 0 && t <= 1);
  if (t >= time_.front()) return std::exp(log_snr_.front()) * (1 - t) / (1 - time_.front());
  if (t <= time_.back()) return std::exp(log_snr_.back());
  const size_t k = segment(t);
  const double fraction = (time_[k] - t) / (time_[k] - time_[k + 1]);
  return std::exp(log_snr_[k] + fraction * (log_snr_[k + 1] - log_snr_[k]));
}

double EntropicTime::snr_slope(double t) const {
  EVO_CHECK(t >= 0 && t <= 1);
  if (t >= time_.front()) return std::exp(log_snr_.front()) / (1 - time_.front());
  if (t < time_.back()) return 0;
  const size_t k = segment(t);
  return snr(t) * (log_snr_[k + 1] - log_snr_[k]) / (time_[k] - time_[k + 1]);
}

double EntropicTime::signal(double t) const {
  const double g = snr(t);
  return g / (1 + g);
}

double EntropicTime::noise(double t) const {
  return 1 / (1 + snr(t));
}

double EntropicTime::kappa(double t) const {
  const double g = snr(t);
  return std::sqrt(g * (1 + g));
}

double EntropicTime::time(double snr) const {
  EVO_CHECK(snr >= 0);
  const double first = std::exp(log_snr_.front());
  if (snr <= first) return 1 - (1 - time_.front()) * (snr / first);
  const double level = std::log(snr);
  if (level >= log_snr_.back()) return time_.back();
  const auto above = std::upper_bound(log_snr_.begin(), log_snr_.end(), level);
  const auto k = static_cast<size_t>(std::max<std::ptrdiff_t>(1, above - log_snr_.begin())) - 1;
  const double fraction = (level - log_snr_[k]) / (log_snr_[k + 1] - log_snr_[k]);
  return time_[k] - fraction * (time_[k] - time_[k + 1]);
}

void EntropicTime::signal(std::span<const float> t, std::span<float> out) const {
  map_batch(t, out, [this](double x) { return signal(x); });
}

void EntropicTime::kappa(std::span<const float> t, std::span<float> out) const {
  map_batch(t, out, [this](double x) { return kappa(x); });
}

}  // namespace evo::flow
