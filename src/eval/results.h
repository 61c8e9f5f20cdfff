// The results of an evaluation as a file: what reports are made of. Nothing in it depends on the
// clock, so that the same seed gives the same bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "json/record.h"

namespace evo::eval {

/// Numbers that are not finite are null in the file, and NaN when it is read.
struct MetricResult {
  std::string name;
  double value = 0;
  double standard_error = 0;  ///< of the value
  double chance = 0;          ///< expected of guessing; 0: not known

  template <class V>
  void visit(V& v) {
    v("metric", name);
    v("value", value);
    v("stderr", standard_error);
    v("chance", chance);
  }
};

/// How far probabilities can be trusted: predictions between lower and upper edge of a bin.
struct ReliabilityBin {
  double lower = 0, upper = 1;
  int64_t count = 0;
  double predicted = 0, observed = 0;  ///< means

  template <class V>
  void visit(V& v) {
    v("lower", lower);
    v("upper", upper);
    v("count", count);
    v("predicted", predicted);
    v("observed", observed);
  }
};

struct GroupResult {
  std::string group;
  int64_t n = 0;
  std::vector<MetricResult> metrics;

  template <class V>
  void visit(V& v) {
    v("group", group);
    v("n", n);
    v("metrics", metrics);
  }
};

struct TaskResult {
  std::string task, version, source;
  int64_t shots = 0;
  int64_t n = 0;                      ///< examples
  int64_t cut = 0;                    ///< examples whose context did not fit and lost its beginning
  std::vector<MetricResult> metrics;  ///< the main one first
  std::vector<GroupResult> groups;    ///< by subtask, if there are any

  /// Tasks of choices: softmax over the choices' log-likelihoods against how often it was right.
  std::vector<ReliabilityBin> choice_reliability;
  /// Tasks of generation: maturity of drafts against how often they were kept.
  std::vector<ReliabilityBin> draft_reliability;
  double tokens_per_forward = 0;  ///< tasks of generation; 0: not generated
  int64_t generated_tokens = 0;
  std::string trace;  ///< file beside the results: how the first text came into being; or empty

  template <class V>
  void visit(V& v) {
    v("task", task);
    v("version", version);
    v("source", source);
    v("shots", shots);
    v("n", n);
    v("cut", cut);
    v("metrics", metrics);
    v("groups", groups);
    v("choice_reliability", choice_reliability);
    v("draft_reliability", draft_reliability);
    v("tokens_per_forward", tokens_per_forward);
    v("generated_tokens", generated_tokens);
    v("trace", trace);
  }
};

/// One run: a model, settings, tasks.
struct EvalResults {
  std::string model;  ///< name of its folder
  int64_t parameters = 0;
  std::string fingerprint;            ///< of its weights and tokenizer
  std::string tokenizer_fingerprint;  ///< values per token compare only where this is the same
  std::string mode;                   ///< of decoding
  double balance = 0;
  int64_t window = 0, steps = 0;  ///< of decoding, as asked for; see DecodeOptions
  double temperature = 0;         ///< 0: greedy
  std::string score;              ///< path of likelihood: "ar", "diagonal", "block:8"
  std::string precision;
  std::string prompts;  ///< "plain texts", or how a chat template was used; empty: not noted
  int64_t limit = 0;    ///< examples per task at most; 0: all
  std::string seed;
  std::string program;  ///< version of evo
  std::vector<TaskResult> tasks;

  template <class V>
  void visit(V& v) {
    v("model", model);
    v("parameters", parameters);
    v("fingerprint", fingerprint);
    v("tokenizer_fingerprint", tokenizer_fingerprint);
    v("mode", mode);
    v("balance", balance);
    v("window", window);
    v("steps", steps);
    v("temperature", temperature);
    v("score", score);
    v("precision", precision);
    v.later("prompts", prompts);
    v("limit", limit);
    v("seed", seed);
    v("program", program);
    v("tasks", tasks);
  }

  /// As in the file, with its format and version.
  [[nodiscard]] json::Record record() const;
  /// Throws Error for another format or version, for what is missing or of another type, for
  /// counts below 0 and for a trace outside the folder of the results.
  static EvalResults from_record(const json::Record& record);

  void save(const std::filesystem::path& path) const;          ///< JSON, atomically
  static EvalResults load(const std::filesystem::path& path);  ///< throws Error
};

}  // namespace evo::eval
