#include "eval/report/numbers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/report/text.h"

namespace evo::eval {
namespace {

using Better = MetricKind::Better;
using DifferenceVerdict = Difference::Verdict;

constexpr MetricKind kShare{true, Better::kHigher, false};
constexpr MetricKind kLow{false, Better::kLower, false};

MetricKind kind_of(std::string_view name, std::vector<double> values = {0.5}) {
  return metric_kind(name, values);
}

TEST(ReportNumbers, KindsOfMetrics) {
  for (const char* name : {"acc", "acc_norm", "exact_match,strict-match", "pass@1", "mc2"}) {
    EXPECT_TRUE(kind_of(name).percent) << name;
    EXPECT_EQ(kind_of(name).better, Better::kHigher) << name;
  }
  EXPECT_TRUE(kind_of("acc", {0, 1, std::nan("")}).percent);
  EXPECT_FALSE(kind_of("bleu", {0.5, 17}).percent);
  EXPECT_EQ(kind_of("bleu", {17}).better, Better::kUnknown);
  // Not percentages, even if small.
  for (const char* name : {"perplexity", "word_perplexity", "bits_per_byte", "nats_per_token"}) {
    EXPECT_FALSE(kind_of(name).percent) << name;
    EXPECT_EQ(kind_of(name).better, Better::kLower) << name;
  }
  EXPECT_TRUE(kind_of("perplexity").per_token);
  EXPECT_TRUE(kind_of("nats_per_token").per_token);
  EXPECT_FALSE(kind_of("word_perplexity").per_token);
  EXPECT_FALSE(kind_of("bits_per_byte").per_token);
  EXPECT_EQ(metric_title("bits_per_byte"), "bits per byte");
}

TEST(ReportNumbers, ValuesHaveTheDigitsThatTheirIntervalLeaves) {
  EXPECT_EQ(value_text(kShare, 0.41234, 0.0049), "41.2% \u00B1 1.0");  // 1.96 * 0.49 = 0.96
  EXPECT_EQ(value_text(kShare, 0.41234, 0.0004), "41.23% \u00B1 0.08");
  EXPECT_EQ(value_text(kShare, 0.41234, 0), "41.2%");
  EXPECT_EQ(value_text(kShare, 1, std::nan("")), "100.0%");
  EXPECT_EQ(value_text(kShare, std::nan(""), 0.1), "not a number");
  EXPECT_EQ(value_text(kLow, 41.68, 1.62), "41.7 \u00B1 3.2");
  EXPECT_EQ(value_text(kLow, 41.68, 16.2), "42 \u00B1 32");
  EXPECT_EQ(value_text(kLow, 1.0834, 0.0121), "1.083 \u00B1 0.024");
  EXPECT_EQ(value_text(kLow, INFINITY, 1), "not a number");
  EXPECT_EQ(value_text(kLow, 1e300, INFINITY), "1e+300");
  EXPECT_EQ(chance_text(kShare, 0.25), "25.0%");
  EXPECT_EQ(chance_text(kShare, 0), "\u2013");
}

TEST(ReportNumbers, Counts) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1000), "1,000");
  EXPECT_EQ(count_text(12345678), "12,345,678");
  EXPECT_EQ(short_count_text(999), "999");
  EXPECT_EQ(short_count_text(1000), "1.0k");
  EXPECT_EQ(short_count_text(9'949), "9.9k");
  EXPECT_EQ(short_count_text(9'970), "10k");
  EXPECT_EQ(short_count_text(14042), "14k");
  EXPECT_EQ(short_count_text(999'499), "999k");
  EXPECT_EQ(short_count_text(999'500), "1.0M");
  for (int64_t count = 1; count < (int64_t{1} << 60); count *= 7) {
    EXPECT_LE(short_count_text(count).size(), 5u) << count;
  }
}

TEST(ReportNumbers, NothingIsNegativeZero) {
  EXPECT_EQ(number_text(-0.04, 1), "0.0");
  EXPECT_EQ(number_text(-0.06, 1), "\u22120.1");
  EXPECT_EQ(difference(kShare, {"acc", 0.5, 0.1}, {"acc", 0.49999, 0.1}).text, "0.0, within error");
}

TEST(ReportNumbers, DifferencesAreJudgedByBothErrors) {
  const MetricResult first{"m", 0.5, 0.03, 0};
  const auto judged = [&](const MetricKind& kind, double value, double error) {
    return difference(kind, first, {"m", value, error, 0}).verdict;
  };
  // 1.96 sqrt(0.03^2 + 0.04^2) = 0.098; either error alone would explain less.
  EXPECT_EQ(judged(kShare, 0.597, 0.04), DifferenceVerdict::kWithin);
  EXPECT_EQ(judged(kShare, 0.599, 0.04), DifferenceVerdict::kBetter);
  EXPECT_EQ(judged(kShare, 0.401, 0.04), DifferenceVerdict::kWorse);
  EXPECT_EQ(judged(kLow, 0.599, 0.04), DifferenceVerdict::kWorse);
  EXPECT_EQ(judged(kLow, 0.401, 0.04), DifferenceVerdict::kBetter);
  EXPECT_EQ(judged(MetricKind{}, 0.599, 0.04), DifferenceVerdict::kBeyond);
  EXPECT_EQ(judged(kShare, std::nan(""), 0.04), DifferenceVerdict::kNotJudged);
  EXPECT_EQ(judged(kShare, 0.9, std::nan("")), DifferenceVerdict::kNotJudged);
  EXPECT_EQ(difference(kShare, {"m", 0, 0}, {"m", 1, 0}).verdict, DifferenceVerdict::kNotJudged);
  EXPECT_EQ(difference(kShare, first, {"m", 0.599, 0.04}).text, "+9.9, better");
  EXPECT_EQ(difference(kShare, first, {"m", 0.401, 0.04}).text, "\u22129.9, worse");
  EXPECT_EQ(difference(kShare, first, {"m", NAN, 0.04}).text, "not a number");
}

TEST(ReportNumbers, CalibrationError) {
  const std::vector<ReliabilityBin> bins = {{0, 0.5, 30, 0.25, 0.35}, {0.5, 1, 10, 0.75, 0.55}};
  // (30 * 0.1 + 10 * 0.2) / 40, to the rounding of doubles below 1.
  EXPECT_NEAR(calibration_error(bins), 0.125, 1e-15);
  EXPECT_EQ(prediction_count(bins), 40);
  const std::vector<ReliabilityBin> one = {{0, 0.5, 0, NAN, NAN}, {0.5, 1, 10, 0.75, 0.75}};
  EXPECT_EQ(calibration_error(one), 0);
  EXPECT_TRUE(std::isnan(calibration_error({})));
}

TEST(ReportNumbers, WilsonIntervals) {
  // Wilson 1927 by hand for 5 of 10 and 0 of 10 with z = 1.96: z^2 / n = 0.38416.
  const ShareInterval half = share_interval(0.5, 10);
  EXPECT_NEAR(half.lower, 0.23659, 5e-6);  // the digits given
  EXPECT_NEAR(half.upper, 0.76341, 5e-6);
  const ShareInterval none = share_interval(0, 10);
  EXPECT_NEAR(none.lower, 0, 1e-15);
  EXPECT_NEAR(none.upper, 0.38416 / 1.38416, 1e-12);  // roundings of a few operations
}

TEST(ReportText, IsOneLineOfUtf8) {
  EXPECT_EQ(one_line("a\nb\tc\x7F"), "a b c ");
  EXPECT_EQ(one_line("\u0085x\u00E9"), " x\u00E9");
  EXPECT_EQ(one_line("a\xFF\xC3"), "a\uFFFD\uFFFD");
  EXPECT_EQ(html_text("<b a=\"1\">&\xFF"), "&lt;b a=&quot;1&quot;&gt;&amp;\uFFFD");
}

TEST(ReportText, MarkdownHasNoMarkup) {
  EXPECT_EQ(markdown_text("acc_norm"), "acc_norm");
  EXPECT_EQ(markdown_text("_a_ *b* [c](d) `e` | f\\"),
            "\\_a\\_ \\*b\\* \\[c\\](d) \\`e\\` \\| f\\\\");
  EXPECT_EQ(markdown_text("<script>&\n# x"), "&lt;script&gt;&amp; \\# x");
}

}  // namespace
}  // namespace evo::eval
