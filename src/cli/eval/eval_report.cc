// evo eval report: what evaluations found, side by side.
#include <CLI/CLI.hpp>
#include <memory>

#include "cli/program.h"
#include "eval/report/report.h"

namespace evo::cli {
namespace {

struct EvalReportFlags {
  std::vector<std::filesystem::path> runs;
  std::string out;
  bool json = false;
};

void run_eval_report(const EvalReportFlags& flags) {
  const std::vector<eval::EvalRun> runs = eval::load_runs(flags.runs);
  if (!flags.out.empty()) eval::write_report(runs, flags.out);
  if (flags.json) {
    fmt::print("{}\n", eval::report_json(runs));
  } else if (flags.out.empty()) {
    fmt::print("{}", eval::report_markdown(runs));
  } else {
    fmt::print("{}\n", (std::filesystem::path(flags.out) / "report.html").string());
  }
}

}  // namespace

void add_eval_report_command(CLI::App& eval, Action& action) {
  const auto flags = std::make_shared<EvalReportFlags>();
  CLI::App* command = eval.add_subcommand(
      "report", "Compare evaluations: tables and pictures, as a page and as Markdown");
  command
      ->add_option("runs", flags->runs,
                   "folders that evo eval tasks --out made, or results.json; the others are "
                   "compared to the first")
      ->required();
  command->add_option("--out", flags->out,
                      "folder for report.html and report.md; without it the Markdown is printed");
  command->add_flag("--json", flags->json, "print the results of all runs as one JSON object");
  command->callback([flags, &action] { action = [flags] { run_eval_report(*flags); }; });
}

}  // namespace evo::cli
