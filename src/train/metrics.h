// metrics.jsonl and the loss curve beside it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <vector>

#include "io/record.h"

namespace evo {

/// One JSON object per line. Lines are flushed as they come, so a killed run loses at most the
/// line being written; opening at a step drops what a run that is resumed had written beyond it.
class MetricsLog {
 public:
  MetricsLog(std::filesystem::path path, int64_t resume_step);

  void add(const Record& line);
  /// loss.svg: training loss and validation losses against tokens.
  void draw(const std::filesystem::path& path) const;

 private:
  std::filesystem::path path_;
  std::vector<Record> lines_;
  std::ofstream file_;
};

}  // namespace evo
