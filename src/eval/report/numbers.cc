#include "eval/report/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace evo::eval {
namespace {

constexpr const char* kNotANumber = "not a number";
constexpr double kLongest = 1e7;  // from here on digits would be a row of zeros

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// So that two digits of the half-width show; one decimal of percentages is enough.
int decimals_for(double half_width, bool percent) {
  const int least = percent ? 1 : 0, most = percent ? 2 : 4;
  if (!(half_width > 0) || !std::isfinite(half_width)) return percent ? 1 : 3;
  return std::clamp(1 - static_cast<int>(std::floor(std::log10(half_width))), least,
                    percent && half_width >= 0.1 ? least : most);
}

std::string signed_text(double value, int decimals) {
  const std::string text = number_text(value, decimals);
  return value >= 0 && std::isfinite(value) ? "+" + text : text;
}

bool positive(double value) {
  return value > 0 && std::isfinite(value);
}

Difference::Verdict verdict(MetricKind::Better better, double difference, double error) {
  using Verdict = Difference::Verdict;
  if (!positive(error) || !std::isfinite(difference)) return Verdict::kNotJudged;
  if (std::abs(difference) <= kIntervalErrors * error) return Verdict::kWithin;
  if (better == MetricKind::Better::kUnknown) return Verdict::kBeyond;
  return (difference > 0) == (better == MetricKind::Better::kHigher) ? Verdict::kBetter
                                                                     : Verdict::kWorse;
}

const char* verdict_text(Difference::Verdict verdict) {
  switch (verdict) {
    case Difference::Verdict::kWithin:
      return ", within error";
    case Difference::Verdict::kBetter:
      return ", better";
    case Difference::Verdict::kWorse:
      return ", worse";
    case Difference::Verdict::kBeyond:
      return ", beyond error";
    case Difference::Verdict::kNotJudged:
      break;
  }
  return "";
}

}  // namespace

MetricKind metric_kind(std::string_view name, std::span<const double> values) {
  using Better = MetricKind::Better;
  if (contains(name, "bits_per_byte")) return {false, Better::kLower, false};
  if (contains(name, "perplexity")) {
    const bool other_unit = contains(name, "word_") || contains(name, "byte_");
    return {false, Better::kLower, !other_unit};
  }
  if (contains(name, "per_token")) return {false, Better::kLower, true};
  const bool share = std::ranges::all_of(values, [](double value) {
    return !std::isfinite(value) || (value >= 0 && value <= 1);  // what is no number says nothing
  });
  if (share) return {true, Better::kHigher, false};
  return {};
}

std::string metric_title(std::string_view name) {
  return name == "bits_per_byte" ? "bits per byte" : std::string(name);
}

std::string number_text(double value, int decimals) {
  if (!std::isfinite(value)) return kNotANumber;
  std::string text = std::abs(value) < kLongest ? fmt::format("{:.{}f}", std::abs(value), decimals)
                                                : fmt::format("{:.3g}", std::abs(value));
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return value < 0 && !zero ? "\u2212" + text : text;
}

std::string value_text(const MetricKind& kind, double value, double standard_error) {
  if (!std::isfinite(value)) return kNotANumber;
  const double scale = kind.percent ? 100 : 1;
  const double half = kIntervalErrors * standard_error * scale;
  const int decimals = decimals_for(half, kind.percent);
  std::string text = number_text(value * scale, decimals) + (kind.percent ? "%" : "");
  if (!positive(half)) return text;
  return text + " \u00B1 " + number_text(half, decimals);
}

std::string chance_text(const MetricKind& kind, double chance) {
  if (!positive(chance)) return "\u2013";
  return kind.percent ? number_text(chance * 100, 1) + "%" : number_text(chance, 3);
}

std::string count_text(int64_t count) {
  const std::string digits = fmt::format("{}", count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string short_count_text(int64_t count) {
  if (count < 1000) return fmt::format("{}", count);
  constexpr const char* kUnits[] = {"k", "M", "G", "T", "P", "E"};
  auto value = static_cast<double>(count) / 1000;
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return fmt::format("{:.{}f}{}", value, value < 9.95 ? 1 : 0, kUnits[unit]);
}

std::string plain_text(double value) {
  return std::isfinite(value) ? fmt::format("{:g}", value) : kNotANumber;
}

Difference difference(const MetricKind& kind, const MetricResult& first,
                      const MetricResult& other) {
  const double scale = kind.percent ? 100 : 1;
  const double change = (other.value - first.value) * scale;
  const double error = std::hypot(first.standard_error, other.standard_error) * scale;
  Difference result;
  result.verdict = verdict(kind.better, change, error);
  result.text = signed_text(change, decimals_for(kIntervalErrors * error, kind.percent)) +
                verdict_text(result.verdict);
  return result;
}

int64_t prediction_count(std::span<const ReliabilityBin> bins) {
  uint64_t count = 0;  // unsigned: counts of a file may be anything
  for (const ReliabilityBin& bin : bins) count += static_cast<uint64_t>(bin.count);
  return static_cast<int64_t>(count);
}

double calibration_error(std::span<const ReliabilityBin> bins) {
  double sum = 0, count = 0;
  for (const ReliabilityBin& bin : bins) {
    if (bin.count == 0) continue;  // its means are no numbers
    sum += static_cast<double>(bin.count) * std::abs(bin.predicted - bin.observed);
    count += static_cast<double>(bin.count);
  }
  return sum / count;
}

ShareInterval share_interval(double share, int64_t count) {
  const auto n = static_cast<double>(count);
  const double z = kIntervalErrors, z2 = z * z;
  const double middle = share + z2 / (2 * n);
  const double half = z * std::sqrt(share * (1 - share) / n + z2 / (4 * n * n));
  return {(middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)};
}

}  // namespace evo::eval
