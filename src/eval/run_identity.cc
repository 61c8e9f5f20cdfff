#include "eval/run_identity.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "files/files.h"

namespace evo::eval {
namespace {

constexpr const char* kSettings = "settings";
constexpr const char* kTasks = "tasks";

template <class T>
void set(json::Record& record, const char* name, const T& value) {
  record.set(name, fmt::format("{}", value));  // texts, which compare as people see them
}

/// By what people can change.
json::Record settings_of(const EvalModel& model, const EvalOptions& options) {
  const decode::DecodeOptions& decode = options.ask.decode;
  json::Record record;
  set(record, "weights", model.fingerprint);
  set(record, "files of the model", model.files);
  set(record, "tokenizer", fmt::format("{:016x}", model.tokenizer.fingerprint()));
  set(record, "version of evo", model.program);
  set(record, "--precision", model.precision);
  set(record, "--mode", decode::mode_name(decode.mode));
  set(record, "--balance", decode.balance);
  set(record, "--window", decode.window);
  set(record, "--steps", decode.steps);
  set(record, "--temperature", decode.sampler.temperature);
  set(record, "--top-k", decode.sampler.top_k);
  set(record, "--top-p", decode.sampler.top_p);
  set(record, "--seed", decode.seed);
  set(record, "--score", flow::to_string(options.ask.score.path));
  set(record, "--samples", options.ask.score.time_samples);
  set(record, "--begin", options.ask.begin_texts ? "auto" : "none");
  set(record, "--limit", options.task.limit);
  set(record, "--chat-template", options.task.chat ? "on" : "off");
  set(record, "--shots-as", options.task.shots_are_turns ? "turns" : "message");
  set(record, "--sessions", options.ask.sessions);  // the texts are the same, the passes are not
  return record;
}

/// Texts one behind the other, so that no two lists of them look alike.
class Digest {
 public:
  void add(std::string_view text) {
    text_ += fmt::format("{}:", text.size());
    text_ += text;
  }
  void add(int64_t number) { add(fmt::format("{}", number)); }
  void add(const std::vector<std::string>& texts) {
    add(std::ssize(texts));
    for (const std::string& text : texts) add(text);
  }
  [[nodiscard]] std::string value() const {
    return fmt::format("{:016x}", files::checksum64(std::as_bytes(std::span(text_))));
  }

 private:
  std::string text_;
};

std::string digest_of(const Example& example) {
  Digest digest;
  digest.add(example.id);
  digest.add(example.group);
  digest.add(std::ssize(example.choices));
  for (const Continuation& choice : example.choices) {
    digest.add(choice.context);
    digest.add(choice.text);
  }
  digest.add(example.prompt);
  digest.add(example.suffix);
  digest.add(example.stop);
  digest.add(example.max_tokens);
  digest.add(example.gold);
  digest.add(std::ssize(example.labels));
  for (const double label : example.labels) digest.add(fmt::format("{}", label));
  digest.add(example.targets);
  return digest.value();
}

json::Record identity_of(const Task& task, const TaskOptions& options,
                         std::span<const Example> examples) {
  Digest all;
  for (const Example& example : examples) all.add(digest_of(example));
  json::Record record;
  set(record, "version of the task", task.info().version);
  set(record, "shots", task.shots(options));
  set(record, "number of examples", examples.size());
  set(record, "data", all.value());
  return record;
}

std::string text_of(const json::Record& record, const std::string& key) {
  const std::string text = record.has(key) ? record.get_string(key) : "";
  return text.empty() ? "not known" : text;
}

/// "--begin was auto and is none", for all that differs.
std::vector<std::string> differences(const json::Record& before, const json::Record& now) {
  std::vector<std::string> keys = now.keys();
  for (const std::string& key : before.keys()) {
    if (!now.has(key)) keys.push_back(key);
  }
  std::vector<std::string> found;
  for (const std::string& key : keys) {
    const std::string old_text = text_of(before, key), new_text = text_of(now, key);
    if (old_text != new_text) {
      found.push_back(fmt::format("{} was {} and is {}", key, old_text, new_text));
    }
  }
  return found;
}

}  // namespace

RunIdentity::RunIdentity(std::filesystem::path folder, const EvalModel& model,
                         const EvalOptions& options)
    : folder_(std::move(folder)), file_(folder_ / "run.json") {
  const json::Record settings = settings_of(model, options);
  if (!std::filesystem::exists(file_)) {
    record_.set(kSettings, settings).set(kTasks, json::Record());
    record_.save(file_);
    return;
  }
  record_ = json::Record::load(file_);
  if (!record_.has(kSettings) || !record_.has(kTasks)) {
    fail(
        "{}: this folder holds the evaluation of an earlier program, which did not note all that "
        "its answers depend on: to start anew, give another --out",
        folder_.string());
  }
  require_same(record_.get_record(kSettings), settings, "with other settings");
}

void RunIdentity::add(const Task& task, const TaskOptions& options,
                      std::span<const Example> examples) {
  const TaskInfo& info = task.info();
  const json::Record identity = identity_of(task, options, examples);
  json::Record tasks = record_.get_record(kTasks);
  if (tasks.has(info.name)) {
    require_same(tasks.get_record(info.name), identity, "of " + info.name + " on other examples");
    return;
  }
  if (std::filesystem::exists(folder_ / "examples" / (info.name + ".jsonl"))) {
    fail("{}: {} does not say what the answers of {} are to: to start anew, give another --out",
         folder_.string(), file_.string(), info.name);
  }
  record_.set(kTasks, tasks.set(info.name, identity));
  record_.save(file_);
}

void RunIdentity::require_same(const json::Record& before, const json::Record& now,
                               std::string_view what) const {
  const std::vector<std::string> found = differences(before, now);
  if (found.empty()) return;
  fail(
      "{}: this folder holds an evaluation {}, with whose answers these must not be mixed: {}. Go "
      "on with what it was, or give another --out to start anew",
      folder_.string(), what, fmt::join(found, ", "));
}

}  // namespace evo::eval
