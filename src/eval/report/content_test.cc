#include "eval/report/content.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>
#include <set>

#include "eval/report/align.h"
#include "eval/report/pictures.h"
#include "eval/report/testing.h"
#include "plot/svg_testing.h"

namespace evo::eval {
namespace {

using testing::count;
using testing::other_mode;
using testing::other_model;
using testing::sample_results;
using testing::texts;

std::vector<EvalRun> runs_of(const std::vector<EvalResults>& results) {
  std::vector<EvalRun> runs;
  runs.reserve(results.size());
  for (const EvalResults& one : results) runs.push_back({one, "folder"});
  return runs;
}

/// The cells of a row, details in brackets.
std::string row_text(const ReportRow& row) {
  const auto cell_text = [](const ReportCell& cell) {
    return cell.detail.empty() ? cell.text : cell.text + " (" + cell.detail + ")";
  };
  std::string text = row.continues ? "" : cell_text(row.head);
  for (const ReportCell& cell : row.cells) text += " | " + cell_text(cell);
  return text;
}

std::vector<std::string> heads(const ReportTable& table) {
  std::vector<std::string> result;
  for (const ReportRow& row : table.rows) {
    if (!row.continues) result.push_back(row.head.text);
  }
  return result;
}

bool has_note(const ReportContent& content, std::string_view part) {
  return std::ranges::any_of(
      content.notes, [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

TEST(ReportContent, ValuesBesideEachOther) {
  const auto runs = runs_of({sample_results(), other_model()});
  const ReportContent content = report_content(runs);
  const ReportTable& table = content.values;
  EXPECT_EQ(heads(table),
            (std::vector<std::string>{"hellaswag", "mmlu", "gsm8k", "lambada_openai", "held_out"}));
  EXPECT_EQ(row_text(table.rows.at(0)),
            "hellaswag (10-shot, version 1.0) | acc_norm | 41.2% \u00B1 1.0 | 47.1% \u00B1 4.4 "
            "(+5.9, better; n = 500) | 25.0% | 10,042 | 82.1% (a second row says 86.4) | "
            "accuracy, shots not stated");
  EXPECT_EQ(row_text(table.rows.at(1)),
            " | acc | 35.5% \u00B1 0.9 | 37.1% \u00B1 4.2 (+1.6, within error; n = 500) | 25.0% | "
            "10,042 | \u2013 | \u2013");
  EXPECT_EQ(row_text(table.rows.at(6)),
            " | perplexity | 41.7 \u00B1 3.2 | 28.4 \u00B1 3.2 (not comparable: other tokenizer) | "
            "\u2013 | 5,153 | \u2013 | \u2013");
  EXPECT_EQ(row_text(table.rows.at(7)),
            "held_out (0-shot, version 1) | bits per byte | 1.083 \u00B1 0.024 | 0.982 \u00B1 "
            "0.023 (\u22120.101, better) | \u2013 | 200 | \u2013 | \u2013");
  EXPECT_EQ(table.rows.at(7).cells.at(2).tone, ReportCell::Tone::kBetter);
  EXPECT_TRUE(has_note(content, "different tokenizers"));
  EXPECT_TRUE(has_note(content, "answered different examples"));
  EXPECT_TRUE(has_note(content, "small-30m: likelihoods are taken along the path block:8"));
  EXPECT_FALSE(has_note(content, "tiny-7m: likelihoods"));
}

TEST(ReportContent, PerplexityComparesWithOneTokenizer) {
  EvalResults other = other_model();
  other.tokenizer_fingerprint = sample_results().tokenizer_fingerprint;
  const ReportContent content = report_content(runs_of({sample_results(), other}));
  // 13.3 beyond 1.96 * 1.62 * sqrt(2) = 4.5.
  EXPECT_NE(row_text(content.values.rows.at(6)).find("(\u221213.3, better)"), std::string::npos);
  EXPECT_FALSE(has_note(content, "different tokenizers"));
}

TEST(ReportContent, OtherShotsOrVersionsAreOtherTasks) {
  EvalResults other = sample_results();
  other.tasks.erase(other.tasks.begin());
  other.tasks[0].shots = 0;
  other.tasks[1].version = "9";
  other.tasks[1].metrics.pop_back();
  const ReportContent content = report_content(runs_of({sample_results(), other}));
  EXPECT_EQ(heads(content.values),
            (std::vector<std::string>{"hellaswag", "mmlu", "gsm8k", "lambada_openai", "held_out",
                                      "mmlu", "gsm8k"}));
  EXPECT_EQ(row_text(content.values.rows.at(0)),
            "hellaswag (10-shot, version 1.0) | acc_norm | 41.2% \u00B1 1.0 | \u2013 | 25.0% | "
            "10,042 | 82.1% (a second row says 86.4) | accuracy, shots not stated");
  EXPECT_EQ(row_text(content.values.rows.at(8)),
            "mmlu (0-shot, version 1.0) | acc | \u2013 | 26.3% \u00B1 5.0 | 25.0% | 300 | "
            "78.6% (a second row says 76.8) | accuracy, shots not stated");
}

TEST(ReportContent, WhatThePaperReportsIsMarkedAsReported) {
  const ReportContent content = report_content(runs_of({sample_results()}));
  const auto& columns = content.values.columns;
  EXPECT_EQ(columns.at(columns.size() - 2).title, "Paper\u2019s 8B, reported by its authors");
  for (const ReportRow& row : content.values.rows) {
    EXPECT_EQ(row.cells.size() + 1, columns.size()) << row.head.text;
  }
  EXPECT_NE(row_text(content.values.rows.at(3)).find("| no figure | metric not stated, shots not"),
            std::string::npos)
      << "gsm8k is named without one";
  EXPECT_TRUE(has_note(content, "They were not measured here"));
  for (const ReportTable& table : content.subtasks) EXPECT_EQ(table.columns.size(), 5u);

  EvalResults other = sample_results();
  other.tasks.erase(other.tasks.begin(), other.tasks.begin() + 3);  // none that the paper names
  const ReportContent without = report_content(runs_of({other}));
  EXPECT_EQ(without.values.columns.size(), 5u);
  EXPECT_FALSE(has_note(without, "measured here"));
}

TEST(ReportContent, ATaskThatComesTwiceHasTwoRows) {
  EvalResults twice = sample_results();
  twice.tasks = {twice.tasks[0], twice.tasks[0]};
  const ReportContent content = report_content(runs_of({sample_results(), twice}));
  EXPECT_EQ(heads(content.values),
            (std::vector<std::string>{"hellaswag", "mmlu", "gsm8k", "lambada_openai", "held_out",
                                      "hellaswag"}));
}

TEST(ReportContent, SubtasksAreSorted) {
  const ReportContent content = report_content(runs_of({sample_results(), other_model()}));
  ASSERT_EQ(content.subtasks.size(), 1u);
  const ReportTable& table = content.subtasks[0];
  EXPECT_EQ(table.caption, "mmlu: 3 subtasks");
  EXPECT_EQ(heads(table), (std::vector<std::string>{"abstract_algebra", "marketing", "virology"}));
  EXPECT_EQ(row_text(table.rows.at(1)),
            "marketing | acc | 26.0% \u00B1 8.6 | \u2013 | 25.0% | 100");
}

TEST(ReportContent, SettingsThatDifferAreMarked) {
  const ReportContent content =
      report_content(runs_of({sample_results(), other_mode("evo", 0.25, 0.1, 2)}));
  std::vector<std::string> differing;
  for (const ReportRow& row : content.settings.rows) {
    if (!row.head.detail.empty()) differing.push_back(row_text(row));
  }
  EXPECT_EQ(differing, std::vector<std::string>{"Decoding (differs) | ar | evo, balance 0.25"});
}

TEST(ReportContent, LabelsAreNotAlike) {
  const auto labels = [](std::vector<EvalResults> results) { return run_labels(runs_of(results)); };
  const EvalResults first = sample_results(), evo = other_mode("evo", 0.5, 0.1, 2);
  EXPECT_EQ(labels({first, other_model()}), (std::vector<std::string>{"tiny-7m", "small-30m"}));
  EXPECT_EQ(labels({first, evo}),
            (std::vector<std::string>{"tiny-7m, ar", "tiny-7m, evo, balance 0.5"}));
  EvalResults sly = other_model();
  sly.model = "tiny-7m, ar (2)";
  EXPECT_EQ(labels({first, sly, first, first}),
            (std::vector<std::string>{"tiny-7m, ar", "tiny-7m, ar (2)", "tiny-7m, ar (3)",
                                      "tiny-7m, ar (4)"}));
  EXPECT_EQ(labels({EvalResults{}, first}), (std::vector<std::string>{"unnamed model", "tiny-7m"}));
}

TEST(ReportContent, SpeedIsComparedWithinAModel) {
  const EvalResults ar = sample_results(), evo = other_mode("evo", 0.5, 0.0792, 3.1);
  EvalResults other = other_model();
  other.mode = "exact";
  const ReportContent content = report_content(runs_of({ar, other, evo, ar}));
  ASSERT_EQ(content.speed.size(), 1u);
  const SpeedPicture& picture = content.speed[0];
  EXPECT_EQ(picture.task, "gsm8k");
  EXPECT_EQ(picture.model, "tiny-7m");
  ASSERT_EQ(picture.points.size(), 3u);
  EXPECT_EQ(picture.points[1].run, 2u);
  EXPECT_EQ(picture.points[1].x, 3.1);
  EXPECT_DOUBLE_EQ(picture.points[1].y, 7.92);
  EXPECT_DOUBLE_EQ(picture.points[1].half, 1.96 * 0.764);
  EXPECT_EQ(picture.points[1].label, "evo, balance 0.5");
  EXPECT_TRUE(report_content(runs_of({ar, ar})).speed.empty()) << "the same settings";
  EXPECT_TRUE(report_content(runs_of({ar, other})).speed.empty()) << "not the same model";
}

TEST(ReportContent, ReliabilityAsNumbers) {
  const ReportContent content =
      report_content(runs_of({sample_results(), other_mode("exact", 0, 0.1, 2)}));
  ASSERT_EQ(content.reliability.size(), 5u);  // hellaswag and mmlu twice, drafts once
  // Bins fall short by a fifth of their middle: 0.2 * mean confidence, which is the sum of n m over
  // n for n = 64, 49 .. 1 and m = 0.25 .. 0.95, 0.4147.
  EXPECT_EQ(reliability_caption(content, content.reliability[0]),
            "tiny-7m, ar: accuracy by confidence; ECE 0.083, 4,080 answers");
  EXPECT_EQ(reliability_caption(content, content.reliability[4]),
            "tiny-7m, exact: drafts kept by maturity; ECE 0.041, 1,020 drafts");
  const ReportTable table = reliability_table(content, content.reliability[0]);
  EXPECT_EQ(row_text(table.rows.at(1)), "0.1\u20130.2 | 0 | \u2013 | \u2013");
  EXPECT_EQ(row_text(table.rows.at(2)), "0.2\u20130.3 | 1,280 | 0.250 | 0.200");
}

TEST(ReportPictures, ValuesAreWhereTheyBelong) {
  ValuePicture picture;
  picture.title = "<t>";
  picture.percent = true;
  ReportPoint point;
  point.y = 40;
  point.half = 10;
  point.label = "a & b";
  point.text = "40%";
  picture.rows = {{"row", 25, {point}}};
  const std::string svg = value_picture_svg(picture);
  testing::expect_balanced(svg);
  // From 1.6% to 98.4% there are 0 .. 50.
  EXPECT_NE(
      svg.find("<line x1=\"59.68%\" y1=\"51.5\" x2=\"98.40%\" y2=\"51.5\" class=\"interval\"/>"),
      std::string::npos)
      << svg;
  EXPECT_NE(svg.find("<svg x=\"79.04%\" y=\"51.5\""), std::string::npos);
  EXPECT_NE(
      svg.find("<line x1=\"50.00%\" y1=\"42.0\" x2=\"50.00%\" y2=\"61.0\" class=\"chance\"/>"),
      std::string::npos);
  EXPECT_EQ(texts(svg, "tick"),
            (std::vector<std::string>{"0%", "10%", "20%", "30%", "40%", "50%"}));
  EXPECT_NE(svg.find("<title>a &amp; b: 40%</title>"), std::string::npos);
}

TEST(ReportPictures, IntervalsEndWithTheAxis) {
  ValuePicture picture;
  picture.percent = true;
  ReportPoint low, high;
  low.y = 1;
  high.y = 99;
  low.half = high.half = 5;
  picture.rows = {{"row", NAN, {low, high}}};
  const std::string svg = value_picture_svg(picture);
  EXPECT_NE(svg.find("<line x1=\"1.60%\" y1=\"51.5\" x2=\"7.41%\""), std::string::npos) << svg;
  EXPECT_NE(svg.find("<line x1=\"92.59%\" y1=\"66.5\" x2=\"98.40%\""), std::string::npos) << svg;
  EXPECT_EQ(count(svg, "class=\"chance\""), 0u);
}

TEST(ReportPictures, ReliabilityIsWhereItBelongs) {
  ReliabilityPicture picture;
  picture.task = "t";
  picture.bins = {{0, 0.5, 1500, 0.25, 0.75},
                  {0.5, 1, 0, 0.75, 0.75},
                  {0, 1, 1, NAN, NAN},
                  {NAN, 1, 5, NAN, 0}};
  const std::string svg = reliability_picture_svg(picture);
  testing::expect_balanced(svg);
  // The plot is 46 .. 332 by 294 .. 8, a square.
  EXPECT_NE(svg.find("translate(117.5 79.5)"), std::string::npos) << svg;
  EXPECT_EQ(texts(svg, "count"), (std::vector<std::string>{"1.5k", "0", "1"}));
  EXPECT_EQ(count(svg, "class=\"mark "), 1u) << "without predictions there is no point";
  EXPECT_EQ(texts(svg, "label"), (std::vector<std::string>{"confidence", "right"}));
}

TEST(ReportPictures, SpeedLabelsDoNotLieOnEachOther) {
  SpeedPicture picture;
  picture.task = "t";
  for (int i = 0; i < 6; ++i) {
    ReportPoint point;
    point.run = static_cast<size_t>(i);
    point.x = 1 + 0.01 * i;
    point.y = 0.5;
    point.label = "label";
    picture.points.push_back(point);
  }
  const std::string svg = speed_picture_svg(picture);
  testing::expect_balanced(svg);
  const std::regex label(
      "x=\"([0-9.]+)\" y=\"([0-9.]+)\" text-anchor=\"(start|end)\" class=\"point\"");
  std::set<std::pair<std::string, int>> lines;  // side and line
  for (std::sregex_iterator at(svg.begin(), svg.end(), label), end; at != end; ++at) {
    lines.emplace((*at)[3], static_cast<int>(std::stod((*at)[2]) / 14));
  }
  EXPECT_EQ(lines.size(), 6u);
}

TEST(ReportPictures, NoTwoRunsHaveTheSameMark) {
  std::set<std::string> marks;
  for (size_t run = 0; run < 36; ++run) EXPECT_TRUE(marks.insert(run_mark(run)).second) << run;
}

}  // namespace
}  // namespace evo::eval
