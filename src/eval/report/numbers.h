// Numbers of a report as text: how many digits mean something, and which numbers are shares.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "eval/results.h"

namespace evo::eval {

/// Half the width of a 95% interval, in standard errors.
inline constexpr double kIntervalErrors = 1.96;

/// What the values of a metric are.
struct MetricKind {
  enum class Better { kHigher, kLower, kUnknown };
  bool percent = false;
  Better better = Better::kUnknown;
  bool per_token = false;  ///< another tokenizer means other values
};

/// By the name; a name that says nothing is taken for a share if all of `values` are in [0, 1].
[[nodiscard]] MetricKind metric_kind(std::string_view name, std::span<const double> values);
/// For people: "bits per byte".
[[nodiscard]] std::string metric_title(std::string_view name);

/// "41.2% ± 1.0": a value and its 95% interval, with as many digits as the interval leaves;
/// "not a number" for what is none. An interval that is not known is left out.
[[nodiscard]] std::string value_text(const MetricKind& kind, double value, double standard_error);
/// "25.0%"; "–" if chance is not known.
[[nodiscard]] std::string chance_text(const MetricKind& kind, double chance);
/// "14,042"; `count` is at least 0.
[[nodiscard]] std::string count_text(int64_t count);
/// "14,042" in five characters at most: "14k".
[[nodiscard]] std::string short_count_text(int64_t count);
/// With this many decimals; large ones as 1.2e+09. A minus is U+2212.
[[nodiscard]] std::string number_text(double value, int decimals);

/// As few digits as tell it from others, as settings are written: "0.25".
[[nodiscard]] std::string plain_text(double value);

/// How far a run is from another one.
struct Difference {
  enum class Verdict {
    kNotJudged,  ///< no standard errors
    kWithin,     ///< explained by both standard errors
    kBetter,
    kWorse,
    kBeyond  ///< not explained, and which is better is not known
  };
  Verdict verdict = Verdict::kNotJudged;
  std::string text;  ///< "+3.1, better"; percentage points where the values are percentages
};

/// Two-sided at 5%, as if the two were independent. Throws nothing: what is no number is not
/// judged.
[[nodiscard]] Difference difference(const MetricKind& kind, const MetricResult& first,
                                    const MetricResult& other);

/// Expected calibration error: the mean over predictions of |predicted - observed| of their bin.
/// NaN without predictions.
[[nodiscard]] double calibration_error(std::span<const ReliabilityBin> bins);
[[nodiscard]] int64_t prediction_count(std::span<const ReliabilityBin> bins);

/// 95% interval of a share that was observed in `count` trials (Wilson 1927).
struct ShareInterval {
  double lower = 0, upper = 1;
};
[[nodiscard]] ShareInterval share_interval(double share, int64_t count);

}  // namespace evo::eval
