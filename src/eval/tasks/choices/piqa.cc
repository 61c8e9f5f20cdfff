// PIQA (Bisk et al. 2020, "PIQA: Reasoning about physical commonsense in natural language"), its
// validation split.
#include "base/error.h"
#include "eval/data/python_text.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"

namespace evo::eval {
namespace {

int64_t expect_label(int64_t label, std::string_view source) {
  if (label != 0 && label != 1) fail("{}: expected the label 0 or 1, found {}", source, label);
  return label;
}

/// The original data has the labels in a file of their own, one per line.
std::vector<int64_t> read_labels(const DataFile& file, size_t rows) {
  std::vector<int64_t> labels;
  for (const std::string_view line : lines_of(file.text)) {
    const std::string source = fmt::format("{}:{}", file.name, labels.size() + 1);
    if (line != "0" && line != "1") {
      fail("{}: expected the label 0 or 1, found \"{}\"", source, line);
    }
    labels.push_back(line == "1" ? 1 : 0);
  }
  if (labels.size() != rows) {
    fail("{}: expected {} labels, one per question, found {}", file.name, rows, labels.size());
  }
  return labels;
}

std::vector<int64_t> labels_of(const std::vector<json::Record>& rows, const DataFolder& data) {
  if (!rows[0].has("label")) return read_labels(data.read({"piqa/valid-labels.lst"}), rows.size());
  std::vector<int64_t> labels;
  for (const json::Record& row : rows)
    labels.push_back(expect_label(row.get_int("label"), row.source()));
  return labels;
}

std::vector<Example> load(const DataFile& file, const DataFolder& data,
                          const TaskOptions& options) {
  const std::vector<json::Record> rows = read_rows(file);
  const std::vector<int64_t> labels = labels_of(rows, data);
  std::vector<Example> examples;
  for (size_t i = 0; i < limited(rows.size(), options); ++i) {
    Example& example = examples.emplace_back();
    example.id = fmt::format("{}", i);
    example.choices =
        after_context(fmt::format("Question: {}\nAnswer:", rows[i].get_string("goal")),
                      {rows[i].get_string("sol1"), rows[i].get_string("sol2")});
    example.gold = labels[i];
  }
  return examples;
}

}  // namespace

void add_piqa_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  TaskInfo info;
  info.name = "piqa";
  info.version = "1.0";
  info.source = "lm-evaluation-harness 0.4.8: lm_eval/tasks/piqa/piqa.yaml";
  info.metrics = {{.name = "acc", .chance = 0.5}, {.name = "acc_norm", .chance = 0.5}};
  info.files = {"piqa/validation.jsonl", "piqa/valid.jsonl"};
  tasks.push_back(std::make_unique<ChoiceTask>(std::move(info), load));
}

}  // namespace evo::eval
