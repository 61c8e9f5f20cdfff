// evo eval tasks and evo eval list: benchmarks.
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <set>

#include "base/log.h"
#include "chat/chat_template.h"
#include "cli/common_options.h"
#include "cli/hub/model_option.h"
#include "cli/mode_choice.h"
#include "cli/number_range.h"
#include "cli/options.h"
#include "cli/program.h"
#include "decode/loaded_model.h"
#include "eval/chat_prompts.h"
#include "eval/report/report.h"
#include "eval/runner.h"
#include "eval/sandbox.h"
#include "files/files.h"
#include "json/record.h"
#include "weights/gguf/gguf_model.h"

namespace evo::cli {
namespace {

struct EvalTasksFlags {
  std::string model, tasks, data, mode, score = "ar", precision = "auto", begin = "auto", out;
  std::string kv_cache = kDefaultKvCache;
  std::optional<double> balance;
  eval::EvalOptions options;
  std::optional<int64_t> shots;
  std::string shots_as = "turns";
  int threads = 0;
  bool chat = false, json = false;
};

/// What a model is asked, and how that is put.
void set_task_options(EvalTasksFlags& flags) {
  eval::TaskOptions& task = flags.options.task;
  task.shots = flags.shots;
  task.shots_are_turns = flags.shots_as == "turns";
  if (!flags.chat) return;
  if (!chat::has_chat_template(flags.model)) {
    fail(
        "{}: --chat-template: this model has no chat template; without the option, tasks are put "
        "to it as plain texts",
        flags.model);
  }
  task.chat = eval::chat_prompts(chat::ChatTemplate::load(flags.model));
  // The template says how texts begin.
  flags.options.ask.begin_texts = false;
}

/// Shots that tasks do not take are not left out silently.
void check_shots(std::span<const eval::Task* const> tasks, const EvalTasksFlags& flags) {
  for (const eval::Task* task : tasks) {
    if (!flags.shots || task->info().takes_shots) continue;
    log_warning("{} has {} worked examples whatever --shots says", task->info().name,
                task->info().shots);
  }
}

/// Programs that a model wrote need a sandbox: that is said before hours of work, not after.
void check_sandbox(std::span<const eval::Task* const> tasks) {
  std::string why;
  for (const eval::Task* task : tasks) {
    if (!task->info().runs_programs || eval::sandbox_available(why)) continue;
    fail("{} runs programs that the model writes, which needs a sandbox: {}", task->info().name,
         why);
  }
}

std::vector<std::filesystem::path> model_files(const std::filesystem::path& model) {
  std::vector<std::filesystem::path> files;
  if (weights::is_gguf(model)) {
    const weights::GgufModel opened(model);
    for (const auto& file : opened.files()) files.push_back(file->path());
    return files;
  }
  for (const auto& entry : std::filesystem::directory_iterator(model)) {
    if (entry.is_regular_file() && entry.file_size() > 0) files.push_back(entry.path());
  }
  return files;
}

/// Of the contents of those files of a model that are `wanted`, and their names.
template <class Wanted>
std::string model_fingerprint(const std::filesystem::path& model, const Wanted& wanted) {
  std::map<std::string, std::string> sums;  // by name
  for (const auto& file : model_files(model)) {
    if (!wanted(file)) continue;
    sums[file.filename().string()] =
        fmt::format("{:016x}", files::checksum64(files::MappedFile(file).bytes()));
  }
  if (sums.size() == 1) return sums.begin()->second;
  std::string text;
  for (const auto& [name, sum] : sums) text += fmt::format("{} {}\n", name, sum);
  return fmt::format("{:016x}", files::checksum64(std::as_bytes(std::span(text))));
}

bool has_weights(const std::filesystem::path& file) {
  return file.extension() == ".safetensors" || weights::is_gguf(file);
}

/// Shape, tokenizer, templates and defaults, as the programs that write model folders name them.
bool has_settings(const std::filesystem::path& file) {
  static const std::set<std::string> names = {"config.json",
                                              "generation_config.json",
                                              "tokenizer.json",
                                              "tokenizer.model",
                                              "tokenizer_config.json",
                                              "special_tokens_map.json",
                                              "added_tokens.json",
                                              "vocab.json",
                                              "merges.txt",
                                              "chat_template.jinja",
                                              "chat_template.json"};
  return names.contains(file.filename().string()) || weights::is_gguf(file);
}

/// The results, and of each task its main metric where a script finds it at once.
json::Record json_of(const eval::EvalResults& results) {
  json::Record record = results.record();
  std::vector<json::Record> tasks = record.get_records("tasks");
  for (size_t i = 0; i < tasks.size(); ++i) {
    const eval::MetricResult& main = results.tasks[i].metrics.front();
    tasks[i].set("metric", main.name).set("value", main.value).set("stderr", main.standard_error);
  }
  return record.set("tasks", tasks);
}

void print_results(const eval::EvalResults& results) {
  for (const eval::TaskResult& task : results.tasks) {
    for (const eval::MetricResult& metric : task.metrics) {
      fmt::print("{:<20} {:<28} {:>9.4f} +- {:.4f}   {} examples, {} shots, version {}{}\n",
                 task.task, metric.name, metric.value, metric.standard_error, task.n, task.shots,
                 task.version,
                 task.tokens_per_forward > 0
                     ? fmt::format(", {:.2f} tokens per pass", task.tokens_per_forward)
                     : "");
    }
    if (task.cut > 0) {
      fmt::print("{:<20} {} of {} contexts did not fit and lost their beginning\n", "", task.cut,
                 task.n);
    }
  }
}

/// As results are identified by it.
std::string computed_in(tensor::Precision precision, ops::CacheFormat cache_format) {
  std::string text = decode::precision_name(precision);
  if (cache_format == ops::CacheFormat::kF32) return text;
  return text + ", keys and values " + decode::cache_format_name(cache_format);
}

void run_eval_tasks(EvalTasksFlags& flags) {
  use_threads(flags.threads);
  eval::AskOptions& ask = flags.options.ask;
  mode_choice(flags.mode, flags.balance).apply(ask.decode);
  try {
    ask.score.path =
        flow::parse_path(flags.score.starts_with("elbo:") ? flags.score.substr(5) : flags.score);
  } catch (const Error& error) {
    throw UsageError(
        fmt::format("--score: {}; bounds are written elbo:diagonal, elbo:block:8", error.what()));
  }
  ask.score.seed = ask.decode.seed;
  ask.begin_texts = flags.begin == "auto";
  flags.options.out = flags.out;
  flags.options.quiet = flags.json;
  flags.options.skip_missing = flags.tasks == "all";
  const std::vector<const eval::Task*> tasks = eval::find_tasks(flags.tasks);
  const eval::DataFolder data(flags.data);
  check_sandbox(tasks);
  check_shots(tasks, flags);
  set_task_options(flags);
  const decode::LoadedModel loaded = decode::load_model(
      flags.model, parse_precision(flags.precision), parse_cache_format(flags.kv_cache));
  mode_choice(flags.mode, flags.balance).suit(loaded.model.config(), ask.decode);
  if (!loaded.model.config().flow && ask.decode.mode != decode::Mode::kAr) {
    throw UsageError("--mode: this model has no evolving stream and can only do ar");
  }
  const eval::EvalModel model{loaded.model,
                              loaded.tokenizer,
                              model_title(flags.model),
                              model_fingerprint(flags.model, has_weights),
                              computed_in(loaded.model.precision(), loaded.model.cache_format()),
                              EVO_VERSION,
                              model_fingerprint(flags.model, has_settings)};
  const eval::EvalResults results = eval::evaluate(model, data, tasks, flags.options);
  const eval::EvalRun whole{results, flags.out};
  if (!flags.out.empty()) eval::write_report(std::span(&whole, 1), flags.out);
  if (flags.json) {
    fmt::print("{}\n", json_of(results).dump());
  } else {
    print_results(results);
    if (!flags.out.empty()) fmt::print("{}/report.html\n", flags.out);
  }
}

void list(bool json) {
  std::vector<json::Record> tasks;
  for (const auto& task : eval::all_tasks()) {
    const eval::TaskInfo& info = task->info();
    std::vector<std::string> metrics;
    for (const eval::Metric& metric : info.metrics) metrics.push_back(metric.name);
    if (!json) {
      fmt::print("{:<20} {} shots, {}; version {} ({})\n{:<20} files: {}\n", info.name, info.shots,
                 fmt::join(metrics, ", "), info.version, info.source, "",
                 fmt::join(info.files, ", "));
    }
    json::Record record;
    record.set("task", info.name).set("shots", info.shots).set("metrics", metrics);
    record.set("version", info.version).set("source", info.source).set("files", info.files);
    tasks.push_back(record);
  }
  if (!json) return;
  json::Record record;
  record.set("tasks", tasks);
  fmt::print("{}\n", record.dump());
}

void add_what(CLI::App& command, EvalTasksFlags& flags) {
  takes_model(command.add_option("model", flags.model, kModelHelp))->required();
  command
      .add_option("--tasks", flags.tasks, "names separated by commas, or all; see evo eval list")
      ->required();
  command
      .add_option("--data", flags.data,
                  "folder with the files of the benchmarks, in folders or archives as they came")
      ->required();
  command
      .add_option("--limit", flags.options.task.limit,
                  "examples per task, or per subtask if it has some; 0: all")
      ->check(number(int64_t{0}, kLargestCount));
  command
      .add_option("--shots", flags.shots,
                  "worked examples before each question, chosen as lm-evaluation-harness's "
                  "--num_fewshot chooses them; by default as many as evo eval list says")
      ->check(number(int64_t{0}, int64_t{1000}));
  command.add_flag("--chat-template", flags.chat,
                   "put questions as a conversation, by the model's chat template (the harness's "
                   "--apply_chat_template): for models that were trained to chat");
  command
      .add_option("--shots-as", flags.shots_as,
                  "with --chat-template: worked examples are turns of user and assistant (turns; "
                  "the harness's --fewshot_as_multiturn true, its default), or stand before the "
                  "question in one message (message)")
      ->check(one_of({"turns", "message"}))
      ->capture_default_str();
  command.add_option(
      "--out", flags.out,
      "folder for the report, results and answers; run again, it goes on from there");
}

void add_how(CLI::App& command, EvalTasksFlags& flags) {
  eval::AskOptions& ask = flags.options.ask;
  command
      .add_option("--score", flags.score,
                  "how likely choices are: ar (exact), or the bound elbo:diagonal, elbo:block:K")
      ->capture_default_str();
  command.add_option("--samples", ask.score.time_samples, "bounds: draws of times and noise")
      ->check(number(1, 100000))
      ->capture_default_str();
  command.add_option("--mode", flags.mode, "of generation: ar, exact, evo or diffusion");
  command.add_option("--balance", flags.balance, "0 exact .. 1 diffusion")->check(number(0.0, 1.0));
  command
      .add_option("--window", ask.decode.window,
                  "evolving tokens per pass; 0: as many as pay, in diffusion mode 8")
      ->check(number(0, 1024))
      ->capture_default_str();
  command.add_option("--steps", ask.decode.steps, "diffusion: passes in which a window ripens")
      ->check(number(1, 4096))
      ->capture_default_str();
  add_sampling_options(command, ask.decode);
  command.add_option("--sessions", ask.sessions, "texts generated side by side")
      ->check(number(1, 256))
      ->capture_default_str();
  command
      .add_option("--begin", flags.begin,
                  "auto: texts begin as evo generate begins them; none: only with what the "
                  "tokenizer's template says, as lm-evaluation-harness does")
      ->check(one_of({"auto", "none"}))
      ->capture_default_str();
  command.add_option("--precision", flags.precision, kPrecisionHelp);
  command.add_option("--kv-cache", flags.kv_cache, kKvCacheHelp);
  command.add_option("--threads", flags.threads, kThreadsHelp);
  command.add_flag("--json", flags.json, "print one JSON object on stdout");
}

}  // namespace

void add_eval_tasks_command(CLI::App& eval, Action& action) {
  const auto flags = std::make_shared<EvalTasksFlags>();
  CLI::App* command =
      eval.add_subcommand("tasks", "Run benchmarks as lm-evaluation-harness 0.4.13 does");
  add_what(*command, *flags);
  add_how(*command, *flags);
  command->callback([flags, &action] { action = [flags] { run_eval_tasks(*flags); }; });

  const auto json = std::make_shared<bool>(false);
  CLI::App* lister = eval.add_subcommand("list", "The tasks, and the files that they want");
  lister->add_flag("--json", *json, "print one JSON object on stdout");
  lister->callback([json, &action] { action = [json] { list(*json); }; });
}

}  // namespace evo::cli
