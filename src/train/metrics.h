// metrics.jsonl and the loss curve beside it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <vector>

#include "comm/rank_table.h"
#include "json/record.h"
#include "train/loss/loss.h"

namespace evo::train {

/// A report as numbers, for other ranks, and the sum of those that are in a table from column
/// `place` on: the report of a batch from those of the ranks' shares.
using LossNumbers = std::array<double, 8>;
[[nodiscard]] LossNumbers to_numbers(const LossReport& report);
[[nodiscard]] LossReport sum_of_reports(const comm::RankTable& table, size_t place);

/// The mean of reports; the ELBO over the rows that estimate it.
class LossMean {
 public:
  void add(const LossReport& report, double weight = 1);
  [[nodiscard]] LossReport mean() const;  ///< NaN where there was nothing to average

  /// For checkpoints; from_record(to_record()) is equal bit for bit.
  [[nodiscard]] json::Record to_record() const;
  static LossMean from_record(const json::Record& record);

 private:
  LossReport sum_;
  double weight_ = 0;
};

/// One JSON object per line. Lines are flushed as they come, so a killed run loses at most the
/// line being written; opening at a step drops what a run that is resumed had written beyond it.
class MetricsLog {
 public:
  MetricsLog(std::filesystem::path path, int64_t resume_step);

  void add(const json::Record& line);
  /// loss.svg: training loss and validation losses against tokens.
  void draw(const std::filesystem::path& path) const;

 private:
  std::filesystem::path path_;
  std::vector<json::Record> lines_;
  std::ofstream file_;
};

}  // namespace evo::train
