// PIQA (Bisk et al. 2020, "PIQA: Reasoning about physical commonsense in natural language"), its
// validation split.
#include "base/error.h"
#include "eval/data/python_text.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/shots.h"

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

std::vector<int64_t> labels_of(const std::vector<json::Record>& rows, const DataFolder& data,
                               const std::string& label_file) {
  if (!rows[0].has("label")) return read_labels(data.read({label_file}), rows.size());
  std::vector<int64_t> labels;
  labels.reserve(rows.size());
  for (const json::Record& row : rows)
    labels.push_back(expect_label(row.get_int("label"), row.source()));
  return labels;
}

std::string asked(const json::Record& row) {
  return fmt::format("Question: {}\nAnswer:", row.get_string("goal"));
}

std::vector<std::string> solutions_of(const json::Record& row) {
  return {row.get_string("sol1"), row.get_string("sol2")};
}

std::vector<Example> load(const Task& task, const DataFile& file, const DataFolder& data,
                          const TaskOptions& options) {
  const std::vector<json::Record> rows = read_rows(file);
  const std::vector<int64_t> labels = labels_of(rows, data, "piqa/valid-labels.lst");
  const auto shots_of = [&](const DataFile& source) {
    const std::vector<json::Record> shot_rows = read_rows(source);
    const std::vector<int64_t> shot_labels =
        labels_of(shot_rows, data,
                  source.name == file.name ? "piqa/valid-labels.lst" : "piqa/train-labels.lst");
    std::vector<ShotSampler::Document> shots;
    for (size_t i = 0; i < shot_rows.size(); ++i) {
      const std::string answer = solutions_of(shot_rows[i])[static_cast<size_t>(shot_labels[i])];
      shots.push_back({shot_rows[i].dump(), {asked(shot_rows[i]), answer}});
    }
    return shots;
  };
  const PromptWriter writer(options);
  ShotSampler sampler = random_shots(task.shots(options), data.find({"piqa/train.jsonl"}),
                                     ShotSampler::Draw::kRandomOther, file, shots_of);
  std::vector<Example> examples;
  for (size_t i = 0; i < limited(rows.size(), options); ++i) {
    Example& example = examples.emplace_back();
    example.id = fmt::format("{}", i);
    example.choices = after_context(writer.write(sampler.next(rows[i].dump()), asked(rows[i])),
                                    solutions_of(rows[i]), writer.before_choice());
    example.gold = labels[i];
  }
  return examples;
}

}  // namespace

void add_piqa_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  TaskInfo info;
  info.name = "piqa";
  info.version = "1.0";
  info.source = "lm-evaluation-harness 0.4.13: lm_eval/tasks/piqa/piqa.yaml";
  info.metrics = {{.name = "acc", .chance = 0.5}, {.name = "acc_norm", .chance = 0.5}};
  info.files = {"piqa/validation.jsonl", "piqa/valid.jsonl"};
  tasks.push_back(std::make_unique<ChoiceTask>(std::move(info), load));
}

}  // namespace evo::eval
