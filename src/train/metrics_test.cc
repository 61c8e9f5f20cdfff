#include "train/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/testing.h"

namespace evo::train {
namespace {

using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

LossReport report(double base, double elbo, int64_t elbo_rows) {
  return {base, 2 * base, 3 * base, 4 * base, 6 * base, 5 * base, elbo, elbo_rows};
}

TEST(LossMean, WeighsReportsAndElbosByTheirRows) {
  LossMean mean;
  mean.add(report(1, 7, 3));
  mean.add(report(5, 0, 0), 3);  // no row estimates the ELBO
  mean.add(report(2, 1, 1), 2);
  const LossReport result = mean.mean();
  const double base = (1 * 1 + 3 * 5 + 2 * 2) / 6.0;
  EXPECT_DOUBLE_EQ(result.total, base);
  EXPECT_DOUBLE_EQ(result.ar_nll, 2 * base);
  EXPECT_DOUBLE_EQ(result.flow, 3 * base);
  EXPECT_DOUBLE_EQ(result.inner, 4 * base);
  EXPECT_DOUBLE_EQ(result.ahead, 6 * base);
  EXPECT_DOUBLE_EQ(result.maturity, 5 * base);
  EXPECT_DOUBLE_EQ(result.elbo, (3 * 7 + 1 * 1) / 4.0);
  EXPECT_EQ(result.elbo_rows, 4);
}

TEST(LossMean, OfNothingIsNotANumber) {
  EXPECT_TRUE(std::isnan(LossMean().mean().total));
  LossMean mean;
  mean.add(report(1, 0, 0));
  EXPECT_EQ(mean.mean().total, 1);
  EXPECT_TRUE(std::isnan(mean.mean().elbo));
  LossMean outer;  // a mean without an ELBO does not spoil the next one
  outer.add(mean.mean());
  outer.add(report(1, 4, 2));
  EXPECT_EQ(outer.mean().elbo, 4);
}

TEST(LossMean, SurvivesACheckpointBitForBit) {
  LossMean mean;
  mean.add(report(1.0 / 3, M_PI, 17));
  const json::Record record = mean.to_record();
  LossMean copy = LossMean::from_record(json::Record::parse(record.dump(), "test"));
  for (LossMean* each : {&mean, &copy}) each->add(report(std::sqrt(2), 1e-3, 3));
  EXPECT_EQ(mean.to_record().dump(), copy.to_record().dump());
  EXPECT_EQ(mean.mean().elbo, copy.mean().elbo);
}

json::Record line(int64_t step) {
  json::Record record;
  record.set("step", step).set("tokens", 10 * step).set("ar_nll", 1.0 / static_cast<double>(step));
  return record;
}

TEST(MetricsLog, ResumingDropsLaterAndTornLines) {
  const TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  {
    MetricsLog log(path, 0);
    for (int64_t step : {1, 2, 3}) log.add(line(step));
  }
  const std::string whole = read_bytes(path);
  EXPECT_EQ(whole, line(1).dump() + "\n" + line(2).dump() + "\n" + line(3).dump() + "\n");
  write_bytes(path, whole + "{\"step\":4,\"tok");
  {
    MetricsLog log(path, 2);
    log.add(line(5));
  }
  EXPECT_EQ(read_bytes(path),
            line(1).dump() + "\n" + line(2).dump() + "\n" + line(5).dump() + "\n");
  MetricsLog(path, 0);  // a new run
  EXPECT_EQ(read_bytes(path), "");
}

TEST(MetricsLog, DrawsLinesOfBeforeAndAfterTheResumption) {
  const TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl", chart = folder / "loss.svg";
  MetricsLog(path, 0).draw(chart);
  EXPECT_FALSE(std::filesystem::exists(chart));  // nothing to draw
  MetricsLog(path, 0).add(line(1));
  MetricsLog log(path, 1);
  json::Record without_elbo = line(2);
  without_elbo.set("valid_elbo", NAN);
  log.add(without_elbo);
  log.draw(chart);
  const std::string svg = read_bytes(chart);
  EXPECT_NE(svg.find("AR loss"), std::string::npos);
  EXPECT_EQ(svg.find("ELBO"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace evo::train
