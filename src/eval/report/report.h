// What people read of an evaluation: one run, or several side by side. The same runs give the same
// bytes, whatever the clock and the locale.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "eval/results.h"

namespace evo::eval {

struct EvalRun {
  EvalResults results;
  std::filesystem::path folder;  ///< beside which the traces are found
};

/// Each path is a folder with results.json, or such a file. Throws Error if there is no path, and
/// for what is missing or damaged.
[[nodiscard]] std::vector<EvalRun> load_runs(std::span<const std::filesystem::path> paths);

/// One HTML file that needs nothing else: pictures are in it, and there is no script. Traces are
/// read from the folders of the runs; one that cannot be read is named instead of shown.
[[nodiscard]] std::string report_html(std::span<const EvalRun> runs);
/// The tables and notes of the same; pictures are tables too.
[[nodiscard]] std::string report_markdown(std::span<const EvalRun> runs);
/// {"runs": [...]}: the results of each, as in its file.
[[nodiscard]] std::string report_json(std::span<const EvalRun> runs);

/// Writes report.html and report.md into a folder, which is made if missing.
void write_report(std::span<const EvalRun> runs, const std::filesystem::path& folder);

}  // namespace evo::eval
