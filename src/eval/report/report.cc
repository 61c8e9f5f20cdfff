#include "eval/report/report.h"

#include "base/error.h"
#include "files/files.h"

namespace evo::eval {
namespace {

namespace fs = std::filesystem;

constexpr const char* kResultsName = "results.json";

EvalRun load_run(const fs::path& path) {
  const fs::path file = fs::is_directory(path) ? path / kResultsName : path;
  if (!fs::exists(file)) {
    fail(
        "{}: no such file; expected a folder with {}, which evo eval tasks --out makes, or such a "
        "file",
        file.string(), kResultsName);
  }
  return {EvalResults::load(file), file.parent_path()};
}

}  // namespace

std::vector<EvalRun> load_runs(std::span<const fs::path> paths) {
  if (paths.empty()) fail("no runs: expected at least one folder with {}", kResultsName);
  std::vector<EvalRun> runs;
  for (const fs::path& path : paths) runs.push_back(load_run(path));
  return runs;
}

std::string report_json(std::span<const EvalRun> runs) {
  std::vector<json::Record> records;
  for (const EvalRun& run : runs) records.push_back(run.results.record());
  json::Record record;
  record.set("runs", records);
  return record.dump();
}

void write_report(std::span<const EvalRun> runs, const fs::path& folder) {
  const std::string html = report_html(runs), markdown = report_markdown(runs);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot make this folder: {}", folder.string(), error.message());
  files::write_atomically(folder / "report.html", html);
  files::write_atomically(folder / "report.md", markdown);
}

}  // namespace evo::eval
