#include "eval/report/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <locale>
#include <regex>
#include <set>
#include <sstream>

#include "base/testing.h"
#include "decode/trace/trace_testing.h"
#include "eval/data/python_text.h"
#include "eval/report/testing.h"
#include "plot/svg_testing.h"
#include "text/utf8.h"

namespace evo::eval {
namespace {

using testing::count;
using testing::expect_error;
using testing::other_mode;
using testing::other_model;
using testing::sample_results;
using testing::TemporaryFolder;

std::vector<EvalRun> reported_runs(std::vector<EvalResults> results) {
  std::vector<EvalRun> runs;
  for (EvalResults& one : results) runs.push_back({std::move(one), "/nowhere"});
  return runs;
}

std::vector<EvalRun> sample_runs() {
  return reported_runs({sample_results(), other_mode("exact", 0, 0.084, 1.92),
                        other_mode("evo", 0.5, 0.0792, 3.1), other_mode("diffusion", 1, 0.031, 5.6),
                        other_model()});
}

/// What markup, numbers and ids must be in every page.
void expect_sound(const std::string& page) {
  EXPECT_EQ(text::valid_utf8_prefix(page), page.size());
  std::string markup = std::regex_replace(page, std::regex("<(meta|br)[^<>]*>"), "");
  for (size_t at = 0; (at = markup.find("<style>", at)) != std::string::npos;) {
    markup.erase(at, markup.find("</style>", at) + 8 - at);
  }
  testing::expect_balanced(markup);
  EXPECT_EQ(count(page, "<script"), 0u);
  EXPECT_EQ(count(page, "<img"), 0u);
  const std::string tags = std::regex_replace(markup, std::regex("\"[^\"]*\""), "");
  EXPECT_FALSE(std::regex_search(tags, std::regex("<[^<>]* on[a-z]+=")));  // handlers
  EXPECT_FALSE(std::regex_search(markup, std::regex("[\"=,. (MLHV-](nan|inf)[\"%,. )LHVp]")));
  // Nothing from elsewhere; the one address is the name of the SVG namespace.
  EXPECT_EQ(count(page, "http://"), count(page, "xmlns=\"http://www.w3.org/2000/svg\""));
  for (const char* outside : {"https:", "src=", "url(", "@import", "<link"}) {
    EXPECT_EQ(count(page, outside), 0u) << outside;
  }
  std::set<std::string> ids;
  const std::regex id("id=\"([^\"]*)\""), link("href=\"#([^\"]*)\"");
  for (std::sregex_iterator at(markup.begin(), markup.end(), id), end; at != end; ++at) {
    EXPECT_TRUE(ids.insert((*at)[1]).second) << (*at)[1];
  }
  for (std::sregex_iterator at(markup.begin(), markup.end(), link), end; at != end; ++at) {
    EXPECT_TRUE(ids.contains((*at)[1])) << (*at)[1];
  }
}

/// Rows of a table are equally long, in characters.
void expect_aligned(const std::string& markdown) {
  std::istringstream lines(markdown);
  std::string before;
  int tables = 0;
  for (std::string line; std::getline(lines, line); before = line) {
    if (!line.starts_with("|")) continue;
    if (!before.starts_with("|")) {
      ++tables;
    } else {
      EXPECT_EQ(character_count(line), character_count(before)) << before << "\n" << line;
    }
  }
  EXPECT_GE(tables, 3);
}

/// Beyond any locale of a system: other points, other groups.
struct StrangeNumbers : std::numpunct<char> {
  char do_decimal_point() const override { return ';'; }
  char do_thousands_sep() const override { return '_'; }
  std::string do_grouping() const override { return "\2"; }
};

TEST(Report, SameRunsSameBytes) {
  const std::string page = report_html(sample_runs()), text = report_markdown(sample_runs());
  expect_sound(page);
  expect_aligned(text);
  const std::locale before = std::locale::global(std::locale(std::locale(), new StrangeNumbers));
  EXPECT_EQ(report_html(sample_runs()), page);
  EXPECT_EQ(report_markdown(sample_runs()), text);
  std::locale::global(before);
}

TEST(Report, OneRun) {
  const auto runs = reported_runs({sample_results()});
  const std::string page = report_html(runs), text = report_markdown(runs);
  expect_sound(page);
  expect_aligned(text);
  EXPECT_NE(page.find("<h1>Evaluation of tiny-7m</h1>"), std::string::npos);
  EXPECT_EQ(page.find("difference"), std::string::npos);
  EXPECT_EQ(page.find("id=\"speed\""), std::string::npos) << "nothing to compare";
  EXPECT_NE(text.find("| 7.23M (7,234,560) |"), std::string::npos);
  EXPECT_NE(text.find("12 of 10,042 contexts did not fit"), std::string::npos);
  EXPECT_NE(text.find("lm_eval/tasks/hellaswag/hellaswag.yaml"), std::string::npos);
}

TEST(Report, TablesAreReadableWithoutEyes) {
  const std::string page = report_html(sample_runs());
  EXPECT_EQ(count(page, "<table"), count(page, "<caption>"));
  EXPECT_EQ(count(page, "<figure>"), count(page, "<figcaption>"));
  EXPECT_GT(count(page, "<th scope=\"col\""), 20u);
  EXPECT_EQ(count(page, "<th>"), 0u);
  EXPECT_EQ(count(page, "<th "), count(page, "<th scope="));
  EXPECT_NE(page.find("<th scope=\"rowgroup\" rowspan=\"2\">hellaswag "), std::string::npos);
  EXPECT_NE(page.find("<html lang=\"en\">"), std::string::npos);
  const size_t pictures = count(page, "<svg class=\"pic values\"") + count(page, "role=\"img\"");
  EXPECT_GT(pictures, 10u);
  EXPECT_EQ(count(page, "role=\"img\">\n<title>"), count(page, "role=\"img\""));
}

TEST(Report, DarkLightNarrowAndPaper) {
  const std::string page = report_html(sample_runs());
  for (const char* part : {"prefers-color-scheme:dark", "@media print", "width=device-width"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
}

TEST(Report, NamesAreTextWhateverIsInThem) {
  const std::string bad =
      "<script>alert(1)</script></table><b onclick=\"x()\">'\"--> `*_\xFF\xC3|\n#";
  EvalResults results = other_mode("evo", 0.5, 0.1, 2);
  for (std::string* text : {&results.model, &results.fingerprint, &results.tokenizer_fingerprint,
                            &results.score, &results.precision, &results.seed, &results.program}) {
    *text = bad;
  }
  for (TaskResult& task : results.tasks) {
    task.task = task.version = task.source = bad;
    task.trace = "bad";
    for (MetricResult& metric : task.metrics) metric.name += bad;
    for (GroupResult& group : task.groups) group.group += bad;
  }
  EvalResults other = results;
  other.mode = bad;
  const auto runs = reported_runs({results, other, results});
  expect_sound(report_html(runs));
  const std::string text = report_markdown(runs);
  expect_aligned(text);
  EXPECT_EQ(text.find('<'), std::string::npos);
  EXPECT_EQ(text::valid_utf8_prefix(text), text.size());
  EXPECT_EQ(text::valid_utf8_prefix(report_json(runs)), report_json(runs).size());
}

TEST(Report, NumbersMayBeAnything) {
  for (const double value :
       {std::nan(""), double{INFINITY}, -double{INFINITY}, 1e308, -1e308, -0.5, 5e-324, 0.0}) {
    SCOPED_TRACE(value);
    std::vector<EvalRun> runs = sample_runs();
    for (EvalRun& run : runs) {
      run.results.balance = run.results.temperature = value;
      run.results.parameters = std::numeric_limits<int64_t>::max();
      for (TaskResult& task : run.results.tasks) {
        task.n = std::numeric_limits<int64_t>::max();
        task.tokens_per_forward = value;
        for (MetricResult& metric : task.metrics) {
          metric.value = metric.standard_error = metric.chance = value;
        }
        for (ReliabilityBin& bin : task.choice_reliability) {
          bin.lower = bin.upper = bin.predicted = bin.observed = value;
          bin.count = std::numeric_limits<int64_t>::max() / 16;
        }
      }
    }
    const std::string page = report_html(runs);
    expect_sound(page);
    EXPECT_EQ(page.find(">not a number<") != std::string::npos, !std::isfinite(value));
    (void)report_markdown(runs);
  }
}

TEST(Report, NothingWasRun) {
  EvalResults empty;
  const auto runs = reported_runs({empty, empty});
  expect_sound(report_html(runs));
  EXPECT_NE(report_markdown(runs).find("0 tasks"), std::string::npos);
  expect_error([] { (void)report_html({}); }, {"at least one run"});
  expect_error([] { (void)report_markdown({}); }, {"at least one run"});
}

TEST(Report, ShowsTracesAndSaysWhichCannotBeRead) {
  const TemporaryFolder folder;
  const decode::Trace trace = testing::small_trace();
  std::string lines = decode::trace_line(trace.header);
  for (const decode::TracePass& pass : trace.passes) lines += decode::trace_line(pass);
  testing::write_bytes(folder / "good.jsonl", lines);
  testing::write_bytes(folder / "bad.jsonl", "{\"format\": \"other\"}\n");
  EvalResults results = sample_results();
  results.tasks[0].trace = "good.jsonl";
  results.tasks[1].trace = "good.jsonl";
  results.tasks[2].trace = "bad.jsonl";
  results.tasks[3].trace = "<i>gone.jsonl";
  const std::vector<EvalRun> runs = {{results, folder.path()}};
  const std::string page = report_html(runs);
  expect_sound(page);
  EXPECT_EQ(count(page, "class=\"evo-map\""), 2u);
  EXPECT_EQ(count(page, "<div class=\"map\" style=\"width:760px\">"), 2u);  // as wide as it is
  EXPECT_EQ(count(page, "<p>No map: "), 2u);
  EXPECT_NE(page.find("not a trace"), std::string::npos);
  EXPECT_NE(report_markdown(runs).find("- hellaswag, tiny-7m: good.jsonl"), std::string::npos);
}

TEST(Report, RunsAreLoadedFromFoldersAndFiles) {
  const TemporaryFolder folder;
  sample_results().save(folder / "results.json");
  other_model().save(folder / "other.json");
  const std::vector<std::filesystem::path> paths = {folder.path(), folder / "other.json"};
  const std::vector<EvalRun> runs = load_runs(paths);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].results.model, "tiny-7m");
  EXPECT_EQ(runs[0].folder, folder.path());
  EXPECT_EQ(runs[1].results.model, "small-30m");
  const json::Record json = json::Record::parse(report_json(runs), "json");
  EXPECT_EQ(json.get_records("runs").at(1).dump(), other_model().record().dump());

  write_report(runs, folder / "new/report");
  EXPECT_EQ(testing::read_bytes(folder / "new/report/report.html"), report_html(runs));
  EXPECT_EQ(testing::read_bytes(folder / "new/report/report.md"), report_markdown(runs));
}

TEST(Report, RunsThatAreNotThere) {
  const TemporaryFolder folder;
  const auto refuses = [&](const std::vector<std::filesystem::path>& paths,
                           std::initializer_list<std::string_view> parts) {
    expect_error([&] { (void)load_runs(paths); }, parts);
  };
  refuses({}, {"no runs", "results.json"});
  refuses({folder.path()}, {"results.json", "no such file", "evo eval tasks"});
  refuses({folder / "gone"}, {"gone", "no such file"});
  testing::write_bytes(folder / "half.json", "{\"format\": \"evo-eval");
  refuses({folder / "half.json"}, {"half.json"});
  testing::write_bytes(folder / "file", "x");
  expect_error([&] { write_report(reported_runs({sample_results()}), folder / "file/x"); },
               {"file/x"});
}

}  // namespace
}  // namespace evo::eval
