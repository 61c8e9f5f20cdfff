// evo eval report: runs from files, side by side.
#include "eval/report/testing.h"

#include "program.h"

namespace evo::testing {
namespace {

class EvalReport : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* run : {"first", "second"}) fs::create_directories(folder_ / run);
    eval::testing::sample_results().save(folder_ / "first/results.json");
    eval::testing::other_model().save(folder_ / "second/results.json");
  }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] std::string both() const { return path("first") + " " + path("second"); }

  TemporaryFolder folder_;
};

TEST_F(EvalReport, WritesAPageAndMarkdown) {
  const Outcome outcome = run("eval report " + both() + " --out " + path("report"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, path("report/report.html") + "\n");
  const std::string page = read_bytes(path("report/report.html"));
  EXPECT_NE(page.find("<h1>Comparison of 2 runs</h1>"), std::string::npos);
  // Printed, the same Markdown.
  EXPECT_EQ(run("eval report " + both()).out, read_bytes(path("report/report.md")));
  // Again, the same bytes.
  EXPECT_EQ(run("eval report " + both() + " --out " + path("report")).code, 0);
  EXPECT_EQ(read_bytes(path("report/report.html")), page);
}

TEST_F(EvalReport, JsonHasAllRuns) {
  const nlohmann::json json = result("eval report " + both() + "/results.json");
  ASSERT_EQ(json.at("runs").size(), 2u);
  EXPECT_EQ(json["runs"][1].dump(),
            nlohmann::json::parse(read_bytes(path("second/results.json"))).dump());
}

TEST_F(EvalReport, SaysWhatIsMissing) {
  expect_refusal("eval report", 2, {"runs"});
  expect_refusal("eval report " + path("none"), 1, {path("none"), "results.json"});
  write_bytes(path("second/results.json"), "{}");
  expect_refusal("eval report " + both(), 1, {path("second/results.json"), "evo-evaluation"});
}

}  // namespace
}  // namespace evo::testing
