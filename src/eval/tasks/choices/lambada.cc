// LAMBADA (Paperno et al. 2016, "The LAMBADA dataset: Word prediction requiring a broad discourse
// context"), the test split in its standard, tokenised form.
#include "base/error.h"
#include "eval/data/python_text.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/shots.h"

namespace evo::eval {
namespace {

/// A passage per line or per row.
std::vector<std::string> read_passages(const DataFile& file) {
  std::vector<std::string> passages;
  if (without_compression(file.name).ends_with(".txt")) {
    for (const std::string_view line : lines_of(file.text)) passages.emplace_back(strip(line));
  } else {
    for (const json::Record& row : json_rows(file)) passages.push_back(row.get_string("text"));
  }
  return passages;
}

/// The passage without its last word, and that word.
Shot parted(const std::string& passage, std::string_view source) {
  const size_t space = passage.rfind(' ');
  if (space == std::string::npos) {
    fail("{}: expected a passage of several words, found \"{}\"", source, passage);
  }
  return {passage.substr(0, space), passage.substr(space)};
}

std::vector<Shot> read_parted(const DataFile& file) {
  std::vector<Shot> parts;
  for (const std::string& passage : read_passages(file)) {
    parts.push_back(parted(passage, fmt::format("{}:{}", file.name, parts.size() + 1)));
  }
  return parts;
}

std::vector<ShotSampler::Document> shots_of(const DataFile& file) {
  std::vector<ShotSampler::Document> shots;
  for (const Shot& parts : read_parted(file)) {
    shots.push_back({parts.question + parts.answer, parts});
  }
  return shots;
}

class Lambada : public Task {
 public:
  using Task::Task;

  [[nodiscard]] std::vector<Example> load(const DataFolder& data,
                                          const TaskOptions& options) const override {
    const DataFile file = data.read(info().files);
    const std::vector<Shot> passages = read_parted(file);
    const PromptWriter writer(options);
    ShotSampler sampler =
        random_shots(shots(options),
                     data.find({"lambada/validation.jsonl", "lambada_standard/validation.jsonl",
                                "lambada_development_plain_text.txt"}),
                     ShotSampler::Draw::kRandom, file, shots_of);
    std::vector<Example> examples;
    for (size_t i = 0; i < limited(passages.size(), options); ++i) {
      const auto& [context, word] = passages[i];
      Example& example = examples.emplace_back();
      example.id = fmt::format("{}", i);
      // The word has its space, also in a conversation: it is the target, not one of choices.
      example.choices =
          after_context(writer.write(sampler.next(context + word), context), {word}, "");
      example.gold = 0;
    }
    return examples;
  }

  [[nodiscard]] std::vector<double> grade(const Example& example,
                                          const Outcome& outcome) const override {
    expect_likelihoods(example, outcome);
    EVO_CHECK(outcome.greedy.size() == 1);
    return {outcome.greedy[0] != 0 ? 1.0 : 0.0, outcome.log_likelihood[0]};
  }
};

}  // namespace

void add_lambada_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  TaskInfo info;
  info.name = "lambada";
  info.version = "1.0";
  info.source = "lm-evaluation-harness 0.4.13: lm_eval/tasks/lambada/lambada_standard.yaml";
  info.metrics = {{.name = "acc"}, {.name = "perplexity", .mean = Metric::Mean::kPerplexity}};
  info.files = {"lambada_test_plain_text.txt", "lambada/test.jsonl", "lambada_standard/test.jsonl"};
  tasks.push_back(std::make_unique<Lambada>(std::move(info)));
}

}  // namespace evo::eval
