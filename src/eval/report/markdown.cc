#include <fmt/format.h>

#include <algorithm>

#include "eval/data/python_text.h"
#include "eval/report/content.h"
#include "eval/report/report.h"
#include "eval/report/text.h"

namespace evo::eval {
namespace {

using Lines = std::vector<std::vector<std::string>>;

std::string cell_markdown(const ReportCell& cell) {
  if (cell.detail.empty()) return markdown_text(cell.text);
  return fmt::format("{} ({})", markdown_text(cell.text), markdown_text(cell.detail));
}

/// Title and cells; a head stands in its first row only.
Lines table_lines(const ReportTable& table) {
  Lines lines(1);
  for (const ReportTable::Column& column : table.columns) {
    lines.front().push_back(markdown_text(column.title));
  }
  for (const ReportRow& row : table.rows) {
    auto& line = lines.emplace_back();
    line.push_back(row.continues ? "" : cell_markdown(row.head));
    for (const ReportCell& cell : row.cells) line.push_back(cell_markdown(cell));
  }
  return lines;
}

std::string padded(const std::string& text, size_t width, bool to_right) {
  const std::string blanks(width - static_cast<size_t>(character_count(text)), ' ');
  return to_right ? blanks + text : text + blanks;
}

/// Columns stand under each other, for those who read it as it is.
std::string table_markdown(const ReportTable& table) {
  const Lines lines = table_lines(table);
  std::vector<size_t> widths(table.columns.size(), 3);
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], static_cast<size_t>(character_count(line[i])));
    }
  }
  std::string text;
  for (size_t row = 0; row < lines.size(); ++row) {
    for (size_t i = 0; i < lines[row].size(); ++i) {
      text += fmt::format("| {} ", padded(lines[row][i], widths[i], table.columns[i].numeric));
    }
    text += "|\n";
    if (row > 0) continue;
    for (size_t i = 0; i < widths.size(); ++i) {
      const bool numeric = table.columns[i].numeric;
      text += fmt::format("| {:-<{}}{} ", "", widths[i] - (numeric ? 1 : 0), numeric ? ":" : "");
    }
    text += "|\n";
  }
  return text;
}

std::string captioned(const ReportTable& table) {
  return fmt::format("{}\n\n{}\n", markdown_text(table.caption), table_markdown(table));
}

std::string titled(const ReportTable& table) {
  return fmt::format("### {}\n\n{}\n", markdown_text(table.caption), table_markdown(table));
}

std::string trace_list(const ReportContent& content) {
  std::string text = "## How texts came into being\n\n";
  for (const TraceReference& trace : content.traces) {
    text += fmt::format("- {}, {}: {}\n", markdown_text(trace.task),
                        markdown_text(content.labels[trace.run]), markdown_text(trace.name));
  }
  return text + "\nMaps of them are in report.html; evo generate --replay shows them live.\n\n";
}

}  // namespace

std::string report_markdown(std::span<const EvalRun> runs) {
  const ReportContent content = report_content(runs);
  std::string text = fmt::format("# {}\n\n{}\n\n{}", markdown_text(content.title),
                                 markdown_text(content.summary), captioned(content.settings));
  text += "## Tasks\n\n" + captioned(content.values);
  if (!content.subtasks.empty()) text += "## Subtasks\n\n";
  for (const ReportTable& table : content.subtasks) text += titled(table);
  if (!content.reliability.empty()) text += "## Reliability\n\n";
  for (const ReliabilityPicture& picture : content.reliability) {
    text += titled(reliability_table(content, picture));
  }
  if (!content.speed.empty()) text += "## Speed and quality\n\n";
  for (const SpeedPicture& picture : content.speed) text += titled(speed_table(picture));
  if (!content.traces.empty()) text += trace_list(content);
  text += "## Notes and sources\n\n";
  for (const std::string& note : content.notes) text += "- " + markdown_text(note) + "\n";
  return text + "\n" + captioned(content.sources);
}

}  // namespace evo::eval
