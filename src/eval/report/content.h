// What a report says, whatever form it takes: texts are as they are in the files, not escaped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "eval/report/report.h"

namespace evo::eval {

struct ReportCell {
  enum class Tone { kPlain, kBetter, kWorse };
  std::string text;
  std::string detail = {};  ///< said below or behind it; may be empty
  Tone tone = Tone::kPlain;
};

struct ReportRow {
  ReportCell head;                ///< what the row is about
  bool continues = false;         ///< the head is that of the row before
  std::vector<ReportCell> cells;  ///< one per column but the first
};

struct ReportTable {
  struct Column {
    std::string title;
    bool numeric = true;
  };
  std::string caption;
  std::vector<Column> columns;  ///< the first is that of the heads
  std::vector<ReportRow> rows;
};

/// A value with its interval in a picture; percentages are 0 .. 100 there.
struct ReportPoint {
  size_t run = 0;
  double x = 0, y = 0;
  double half = 0;    ///< of the interval of y; 0: not known
  std::string label;  ///< what settings it is of
  std::string text;   ///< the value, as tables show it
};

/// The main values of tasks that have one scale; of points only y counts.
struct ValuePicture {
  struct Row {
    std::string label;
    double chance = std::numeric_limits<double>::quiet_NaN();  ///< NaN: not known
    std::vector<ReportPoint> points;
  };
  std::string title;
  bool percent = false;
  std::vector<Row> rows;
};

struct ReliabilityPicture {
  std::string task;
  size_t run = 0;
  bool drafts = false;  ///< maturity and whether drafts were kept; else confidence and accuracy
  std::vector<ReliabilityBin> bins;
};

/// x: tokens per forward pass.
struct SpeedPicture {
  std::string task, model, metric;
  bool percent = false;
  std::vector<ReportPoint> points;
};

struct TraceReference {
  std::string task;
  size_t run = 0;
  std::filesystem::path path;
  std::string name;  ///< of the file in the folder of the run
};

struct ReportContent {
  std::string title, summary;
  std::vector<std::string> labels;  ///< of the runs, no two alike
  ReportTable settings, values, sources;
  std::vector<ValuePicture> value_pictures;
  std::vector<ReportTable> subtasks;
  std::vector<ReliabilityPicture> reliability;
  std::vector<SpeedPicture> speed;
  std::vector<TraceReference> traces;
  std::vector<std::string> notes;
};

/// Throws Error if there are no runs.
[[nodiscard]] ReportContent report_content(std::span<const EvalRun> runs);

/// What a picture shows, as numbers.
[[nodiscard]] ReportTable reliability_table(const ReportContent& content,
                                            const ReliabilityPicture& picture);
[[nodiscard]] ReportTable speed_table(const SpeedPicture& picture);

/// "run: accuracy by confidence; ECE 0.043, 10,042 answers".
[[nodiscard]] std::string reliability_caption(const ReportContent& content,
                                              const ReliabilityPicture& picture);

}  // namespace evo::eval
