// How exact decoding compares with ar by the length of texts: in a process that has learnt nothing,
// in one that knows what others learnt, and in one that has decoded before.
#pragma once

#include <string>
#include <vector>

#include "cli/bench/bench_decode.h"
#include "json/record.h"

namespace evo::cli {

/// A measurement in a process of its own.
struct LengthsWork {
  std::string modes = "both";  ///< ar or exact: one text; both: texts in turns, after some others
  int64_t batch = 1;           ///< texts side by side
  int64_t rounds = 1;          ///< of `both`
  int64_t first = 0;           ///< number of the first prompt, counted in batches
  std::string costs;           ///< folder of what was learnt of passes; empty: none
};

/// {"runs": [{"mode", "tokens", "seconds", "text"}]}: seconds with the reading of the prompts,
/// "text" the same for the same texts.
[[nodiscard]] json::Record measure_lengths(const model::Model& model, tensor::Precision precision,
                                           const std::vector<DecodeBenchPrompt>& prompts,
                                           const LengthsWork& work,
                                           const DecodeBenchOptions& options);

struct LengthsBench {
  std::vector<std::string> words;  ///< of the command line that all processes have in common
  std::vector<std::string> precisions;
  std::vector<int64_t> batches, lengths;
  std::vector<std::string> starts;  ///< cold, known, warm
  int64_t rounds = 5;
};

struct LengthsRow {
  std::string precision, start;
  int64_t batch = 1, length = 0;
  std::vector<double> ar, exact;  ///< tokens per second, round by round
  int64_t equal = 0;              ///< rounds whose texts were the same in both modes
  [[nodiscard]] std::vector<double> ratios() const;
};

/// Rounds of one process per mode, ar and exact in turns and each first in every other round.
[[nodiscard]] std::vector<LengthsRow> bench_lengths(const LengthsBench& bench);

[[nodiscard]] std::string lengths_table(const std::vector<LengthsRow>& rows);
[[nodiscard]] json::Record lengths_record(const std::vector<LengthsRow>& rows);

}  // namespace evo::cli
