#include "eval/runner.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/log.h"
#include "base/process/watcher.h"
#include "base/threads/parallel.h"
#include "eval/example_file.h"
#include "eval/run_identity.h"
#include "files/files.h"
#include "files/text_writer.h"
#include "flow/elbo.h"
#include "model/layout.h"

namespace evo::eval {
namespace {

namespace fs = std::filesystem;

// Examples that are asked together, and kept together: the unit in which a run goes on, so that it
// ends the same however often it is interrupted.
constexpr size_t kChunk = 64;
constexpr size_t kReliabilityBins = 10;

MetricResult metric_result(const Metric& metric, const flow::RunningMean& scores) {
  MetricResult result{metric.name, scores.mean(), 0, metric.chance};
  if (scores.count() > 1) result.standard_error = scores.standard_error();
  if (metric.mean == Metric::Mean::kPerplexity) {
    result.value = std::exp(-scores.mean());
    result.standard_error *= result.value;  // to first order
  }
  return result;
}

std::vector<MetricResult> metric_results(const TaskInfo& info,
                                         std::span<const flow::RunningMean> means) {
  std::vector<MetricResult> results;
  for (size_t m = 0; m < info.metrics.size(); ++m) {
    results.push_back(metric_result(info.metrics[m], means[m]));
  }
  return results;
}

/// Predictions in bins of equal width.
class Reliability {
 public:
  void add(double predicted, bool observed) {
    Sums& sums =
        bins_[std::min(static_cast<size_t>(predicted * kReliabilityBins), kReliabilityBins - 1)];
    sums.count += 1;
    sums.predicted += predicted;
    sums.observed += observed ? 1 : 0;
  }
  void add(const DraftCounts& drafts) {
    static_assert(DraftCounts::kBins == kReliabilityBins);
    for (size_t i = 0; i < kReliabilityBins; ++i) {
      bins_[i].count += drafts.drafts[i];
      bins_[i].predicted += drafts.maturity[i];
      bins_[i].observed += static_cast<double>(drafts.kept[i]);
    }
  }
  /// Empty if nothing was added.
  [[nodiscard]] std::vector<ReliabilityBin> bins() const {
    std::vector<ReliabilityBin> result;
    bool any = false;
    for (size_t i = 0; i < kReliabilityBins; ++i) {
      const auto [count, predicted, observed] = bins_[i];
      const double width = 1.0 / kReliabilityBins,
                   n = static_cast<double>(std::max(count, int64_t{1}));
      result.push_back({static_cast<double>(i) * width, static_cast<double>(i + 1) * width, count,
                        predicted / n, observed / n});
      any = any || count > 0;
    }
    return any ? result : std::vector<ReliabilityBin>{};
  }

 private:
  struct Sums {
    int64_t count = 0;
    double predicted = 0, observed = 0;
  };
  std::array<Sums, kReliabilityBins> bins_{};
};

/// The probability of the likeliest choice among the choices, and whether it is the right one.
void add_choice(const Example& example, const Outcome& outcome, Reliability& reliability) {
  if (example.gold < 0 || outcome.log_likelihood.empty()) return;
  const auto best = std::ranges::max_element(outcome.log_likelihood);
  double sum = 0;
  for (const double nats : outcome.log_likelihood) sum += std::exp(nats - *best);
  if (!std::isfinite(sum)) return;
  reliability.add(1 / sum, best - outcome.log_likelihood.begin() == example.gold);
}

TaskResult summarize(const Task& task, const TaskOptions& options,
                     std::span<const Example> examples, std::span<const ExampleResult> results) {
  const TaskInfo& info = task.info();
  TaskResult summary;
  summary.task = info.name;
  summary.version = info.version;
  summary.source = info.source;
  summary.shots = task.shots(options);
  summary.n = std::ssize(results);
  std::vector<flow::RunningMean> all(info.metrics.size());
  std::map<std::string, std::vector<flow::RunningMean>> groups;
  Reliability choices, drafts;
  int64_t passes = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    const Answer& answer = results[i].answer;
    const auto group = groups.try_emplace(examples[i].group, info.metrics.size()).first;
    for (size_t m = 0; m < info.metrics.size(); ++m) {
      all[m].add(results[i].scores[m]);
      group->second[m].add(results[i].scores[m]);
    }
    summary.cut += answer.cut ? 1 : 0;
    summary.generated_tokens += answer.tokens;
    passes += answer.passes;
    add_choice(examples[i], answer.outcome, choices);
    drafts.add(answer.drafts);
  }
  summary.metrics = metric_results(info, all);
  for (const auto& [name, means] : groups) {
    if (!name.empty()) {
      summary.groups.push_back({name, means.front().count(), metric_results(info, means)});
    }
  }
  summary.choice_reliability = choices.bins();
  summary.draft_reliability = drafts.bins();
  if (passes > 0) {
    summary.tokens_per_forward =
        static_cast<double>(summary.generated_tokens) / static_cast<double>(passes);
  }
  return summary;
}

void write_trace(const fs::path& path, const decode::Trace& trace) {
  files::TextWriter file(path);
  file.write(trace_line(trace.header));
  for (const decode::TracePass& pass : trace.passes) file.write(trace_line(pass));
  file.commit();
}

std::string trace_name(const Task& task) {
  return "traces/" + task.info().name + ".jsonl.zst";
}

/// Asks for and grades the next examples.
std::vector<ExampleResult> run_chunk(const Task& task, const Asker& asker,
                                     std::span<const Example> examples, uint64_t stream,
                                     decode::Trace* trace) {
  std::vector<Answer> answers = asker.ask(examples, stream, trace);
  std::vector<ExampleResult> results(examples.size());
  parallel_items(std::ssize(examples), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    results[at].scores = task.grade(examples[at], answers[at].outcome);
    EVO_CHECK(results[at].scores.size() == task.info().metrics.size());
    results[at].answer = std::move(answers[at]);
  });
  return results;
}

TaskResult run_task(const EvalModel& model, const DataFolder& data, const Task& task,
                    const EvalOptions& options, std::optional<RunIdentity>& identity) {
  const std::vector<Example> examples = task.load(data, options.task);
  if (examples.empty()) fail("{}: the data has no examples", task.info().name);
  if (identity) identity->add(task, options.task, examples);
  const bool generates = examples.front().choices.empty();
  fs::path lines;
  if (!options.out.empty()) lines = options.out / "examples" / (task.info().name + ".jsonl");
  ExampleFile file(lines, examples, task.info().metrics.size());
  if (!file.results().empty() && file.results().size() < examples.size()) {
    log_info("{}: going on after {} of {} examples", task.info().name, file.results().size(),
             examples.size());
  }
  Progress progress(task.info().name, static_cast<double>(examples.size()), "examples",
                    options.quiet, static_cast<double>(file.results().size()));
  AskOptions ask = options.ask;
  double done = static_cast<double>(file.results().size());
  ask.on_answer = [&] { progress.update(++done); };
  const Asker asker(model.model, model.tokenizer, ask);
  while (file.results().size() < examples.size()) {
    const size_t first = file.results().size();
    const auto chunk =
        std::span(examples).subspan(first, std::min(kChunk, examples.size() - first));
    std::optional<decode::Trace> trace;
    if (first == 0 && generates && !options.out.empty()) trace.emplace();
    std::vector<ExampleResult> results =
        run_chunk(task, asker, chunk, first, trace ? &*trace : nullptr);
    if (trace) write_trace(options.out / trace_name(task), *trace);
    file.append(std::move(results));
  }
  progress.finish();
  TaskResult result = summarize(task, options.task, examples, file.results());
  if (generates && !options.out.empty()) result.trace = trace_name(task);
  return result;
}

std::string prompts_text(const TaskOptions& options) {
  if (!options.chat) return "plain texts";
  return options.shots_are_turns ? "chat template, shots as turns"
                                 : "chat template, shots in the question's message";
}

EvalResults header_of(const EvalModel& model, const EvalOptions& options) {
  EvalResults results;
  results.model = model.name;
  results.parameters = model::model_cost(model.model.config(), 1).parameters();
  results.fingerprint = model.fingerprint;
  results.tokenizer_fingerprint = fmt::format("{:016x}", model.tokenizer.fingerprint());
  results.program = model.program;
  results.mode = decode::mode_name(options.ask.decode.mode);
  results.balance = options.ask.decode.balance;
  results.window = options.ask.decode.window;
  results.steps = options.ask.decode.steps;
  results.temperature = options.ask.decode.sampler.temperature;
  results.score = flow::to_string(options.ask.score.path);
  results.precision = model.precision;
  results.prompts = prompts_text(options.task);
  results.limit = options.task.limit;
  results.seed = fmt::format("{}", options.ask.decode.seed);
  return results;
}

}  // namespace

EvalResults evaluate(const EvalModel& model, const DataFolder& data,
                     std::span<const Task* const> tasks, const EvalOptions& options) {
  EvalResults results = header_of(model, options);
  std::optional<files::FolderLock> lock;
  std::optional<RunIdentity> identity;
  if (!options.out.empty()) {
    lock.emplace(options.out);
    fs::create_directories(options.out / "examples");
    fs::create_directories(options.out / "traces");
    identity.emplace(options.out, model, options);
  }
  for (const Task* task : tasks) {
    try {
      results.tasks.push_back(run_task(model, data, *task, options, identity));
    } catch (const MissingData& error) {
      if (!options.skip_missing) throw;
      log_warning("{} is left out: {}", task->info().name, error.what());
    }
  }
  if (results.tasks.empty()) fail("{}: no file of any of the tasks", data.root().string());
  if (!options.out.empty()) results.save(options.out / "results.json");
  return results;
}

}  // namespace evo::eval
