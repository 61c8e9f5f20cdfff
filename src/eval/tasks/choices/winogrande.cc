// WinoGrande (Sakaguchi et al. 2020), its validation split, with partial scoring: each option is
// put in the place of the blank, and what is scored is the rest of the sentence.
#include <array>

#include "base/error.h"
#include "eval/data/python_text.h"
#include "eval/tasks/choices.h"
#include "eval/tasks/families.h"
#include "eval/tasks/shots.h"

namespace evo::eval {
namespace {

struct Sentence {
  std::string before, after;  // the blank
  std::array<std::string, 2> options;
  size_t answer = 0;  // index of the right option
};

/// What is in `text` between `begin` and `end`, which it goes past.
std::string take_between(std::string_view& text, std::string_view begin, std::string_view end,
                         std::string_view source) {
  const size_t first = text.find(begin);
  const size_t last =
      first == std::string_view::npos ? first : text.find(end, first + begin.size());
  if (last == std::string_view::npos) {
    fail("{}: expected a text between \"{}\" and \"{}\" in \"instruction\"", source, begin, end);
  }
  const std::string part(text.substr(first + begin.size(), last - first - begin.size()));
  text.remove_prefix(last);
  return part;
}

void set_sentence(Sentence& result, std::string_view sentence, std::string_view source) {
  const size_t blank = sentence.find('_');
  if (blank == std::string_view::npos) {
    fail("{}: expected a sentence with a blank \"_\", found \"{}\"", source, sentence);
  }
  result.before = sentence.substr(0, blank);
  result.after = strip(sentence.substr(blank + 1));
}

void set_answer(Sentence& result, std::string_view answer, std::string_view source) {
  if (answer != "1" && answer != "2") {
    fail("{}: expected the answer 1 or 2, found \"{}\"", source, answer);
  }
  result.answer = answer == "1" ? 0 : 1;
}

Sentence from_instruction(const json::Record& row) {
  const std::string instruction = row.get_string("instruction");
  std::string_view rest = instruction;
  Sentence result;
  set_sentence(result, take_between(rest, "the given sentence: ", "\n\nOption1: ", row.source()),
               row.source());
  result.options[0] = take_between(rest, "Option1: ", " Option2: ", row.source());
  result.options[1] = take_between(rest, " Option2: ", " Answer format:", row.source());
  constexpr std::string_view kAnswer = "option";
  const std::string answer = row.get_string("answer");
  set_answer(result, answer.starts_with(kAnswer) ? answer.substr(kAnswer.size()) : answer,
             row.source());
  return result;
}

Sentence parse(const json::Record& row) {
  if (row.has("instruction")) return from_instruction(row);
  Sentence result;
  set_sentence(result, row.get_string("sentence"), row.source());
  result.options = {row.get_string("option1"), row.get_string("option2")};
  set_answer(result, row.get_string("answer"), row.source());
  return result;
}

std::vector<Sentence> read_sentences(const DataFile& file) {
  std::vector<Sentence> sentences;
  for (const json::Record& row : read_rows(file)) sentences.push_back(parse(row));
  return sentences;
}

/// Equal for equal rows.
std::string key_of(const Sentence& sentence) {
  return fmt::format("{}_{}\n{}\n{}\n{}", sentence.before, sentence.after, sentence.options[0],
                     sentence.options[1], sentence.answer);
}

std::vector<ShotSampler::Document> shots_of(const DataFile& file) {
  std::vector<ShotSampler::Document> shots;
  for (const Sentence& sentence : read_sentences(file)) {
    shots.push_back(
        {key_of(sentence), {sentence.before + sentence.options[sentence.answer], sentence.after}});
  }
  return shots;
}

std::vector<Example> load(const Task& task, const DataFile& file, const DataFolder& data,
                          const TaskOptions& options) {
  const std::vector<Sentence> sentences = read_sentences(file);
  const PromptWriter writer(options);
  ShotSampler sampler =
      random_shots(task.shots(options),
                   data.find({"winogrande/winogrande_xl/train.jsonl", "winogrande_xl/train.jsonl",
                              "winogrande/train_xl.jsonl", "winogrande/train.jsonl"}),
                   ShotSampler::Draw::kRandomOther, file, shots_of);
  std::vector<Example> examples;
  for (size_t i = 0; i < limited(sentences.size(), options); ++i) {
    const Sentence& sentence = sentences[i];
    const std::vector<Shot> shots = sampler.next(key_of(sentence));
    Example& example = examples.emplace_back();
    example.id = fmt::format("{}", i);
    for (const std::string& option : sentence.options) {
      example.choices.push_back(after_context(writer.write(shots, sentence.before + option),
                                              {sentence.after}, writer.before_choice())[0]);
    }
    example.gold = static_cast<int64_t>(sentence.answer);
  }
  return examples;
}

}  // namespace

void add_winogrande_tasks(std::vector<std::unique_ptr<Task>>& tasks) {
  TaskInfo info;
  info.name = "winogrande";
  info.version = "1.0";
  info.source =
      "lm-evaluation-harness 0.4.13: lm_eval/tasks/winogrande/default.yaml and "
      "preprocess_winogrande.py";
  info.metrics = {{.name = "acc", .chance = 0.5}};
  // The last is the validation split in the form of instructions.
  info.files = {"winogrande/winogrande_xl/validation.jsonl", "winogrande_xl/validation.jsonl",
                "winogrande/validation.jsonl", "winogrande/dev.jsonl", "winogrande/test.json"};
  tasks.push_back(std::make_unique<ChoiceTask>(std::move(info), load));
}

}  // namespace evo::eval
