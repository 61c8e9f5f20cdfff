#include "eval/results.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/testing.h"
#include "eval/report/testing.h"

namespace evo::eval {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::sample_results;
using testing::TemporaryFolder;
using testing::write_bytes;

/// The file of the sample with the first `from` replaced.
std::string damaged(const TemporaryFolder& folder, const std::string& from, const std::string& to) {
  sample_results().save(folder / "good.json");
  std::string text = read_bytes(folder / "good.json");
  const size_t found = text.find(from);
  EVO_CHECK(found != std::string::npos);
  write_bytes(folder / "bad.json", text.replace(found, from.size(), to));
  return folder / "bad.json";
}

TEST(Results, EverythingComesBack) {
  const TemporaryFolder folder;
  EvalResults results = sample_results();
  results.mode = "evo";
  results.balance = 0.25;
  results.window = 8;
  results.temperature = 0.1;
  results.limit = 7;
  results.tasks[2].trace = "traces/gsm8k.jsonl.zst";
  results.tasks[2].draft_reliability = {{0.5, 1, 3, 0.75, 1.0 / 3}};
  results.save(folder / "results.json");
  const EvalResults again = EvalResults::load(folder / "results.json");
  EXPECT_EQ(again.record().dump(), results.record().dump());
  EXPECT_EQ(again.model, "tiny-7m");
  EXPECT_EQ(again.window, 8);
  EXPECT_EQ(again.tasks.at(1).groups.at(1).metrics.at(0).value, 0.22);
  EXPECT_EQ(again.tasks.at(2).draft_reliability.at(0).observed, 1.0 / 3);
  EXPECT_EQ(again.tasks.at(2).trace, "traces/gsm8k.jsonl.zst");
}

TEST(Results, SameResultsSameBytes) {
  const TemporaryFolder folder;
  sample_results().save(folder / "a.json");
  EvalResults::load(folder / "a.json").save(folder / "b.json");
  EXPECT_EQ(read_bytes(folder / "a.json"), read_bytes(folder / "b.json"));
}

TEST(Results, WhatIsNoNumberStaysNone) {
  const TemporaryFolder folder;
  EvalResults results = sample_results();
  results.tasks[0].metrics[0].value = std::nan("");
  results.tasks[0].metrics[0].standard_error = INFINITY;
  results.save(folder / "results.json");
  const EvalResults again = EvalResults::load(folder / "results.json");
  EXPECT_TRUE(std::isnan(again.tasks[0].metrics[0].value));
  EXPECT_TRUE(std::isnan(again.tasks[0].metrics[0].standard_error));
  EXPECT_EQ(again.tasks[0].metrics[0].chance, 0.25);
}

TEST(Results, BadFilesAreErrors) {
  const TemporaryFolder folder;
  const auto refuses = [&](const std::string& from, const std::string& to,
                           std::initializer_list<std::string_view> parts) {
    const std::string path = damaged(folder, from, to);
    expect_error([&] { (void)EvalResults::load(path); }, parts);
  };
  refuses("evo-evaluation", "other", {"bad.json", "evo-evaluation", "evo eval tasks"});
  refuses("\"version\": 1", "\"version\": 2", {"version 2", "reads version 1"});
  refuses("\"n\": 10042", "\"n\": -1", {"tasks[0]", "\"n\" is -1", "0 or more"});
  refuses("\"n\": 10042", "\"n\": \"many\"", {"tasks[0]", "\"n\"", "\"many\""});
  refuses("\"stderr\": 0.0049,", "", {"tasks[0]", "metrics[0]", "stderr", "missing"});
  refuses("\"tasks\"", "\"tusks\"", {"\"tasks\"", "missing"});
  refuses("\"mode\": \"ar\",", "\"mode\":", {"bad.json"});
  expect_error([&] { (void)EvalResults::load(folder / "none.json"); }, {"none.json"});
}

TEST(Results, TracesLieInTheFolderOfTheResults) {
  const TemporaryFolder folder;
  for (const char* trace : {"/etc/passwd", "../other/x.jsonl", "traces/../../x"}) {
    EvalResults results = sample_results();
    results.tasks[2].trace = trace;
    results.save(folder / "results.json");
    expect_error([&] { (void)EvalResults::load(folder / "results.json"); },
                 {trace, "gsm8k", "folder of the results"});
  }
}

}  // namespace
}  // namespace evo::eval
