// Made-up results, for tests of what reads them.
#pragma once

#include <string>
#include <vector>

#include "base/testing.h"
#include "eval/report/report.h"

namespace evo::eval::testing {
using namespace evo::testing;

inline std::vector<ReliabilityBin> ten_bins(double bias, int64_t scale) {
  std::vector<ReliabilityBin> bins;
  for (int i = 0; i < 10; ++i) {
    const double middle = (i + 0.5) / 10;
    bins.push_back({i / 10.0, (i + 1) / 10.0, i < 2 ? 0 : scale * (10 - i) * (10 - i), middle,
                    middle - bias * middle});
  }
  return bins;
}

/// Tasks of every kind: choices, with subtasks; text with reliability and traces; perplexity; bits
/// per byte.
inline EvalResults sample_results() {
  EvalResults results;
  results.model = "tiny-7m";
  results.parameters = 7'234'560;
  results.fingerprint = "5ad1c7f0e2b39846";
  results.tokenizer_fingerprint = "00ff00ff00ff00ff";
  results.mode = "ar";
  results.score = "ar";
  results.precision = "bf16";
  results.prompts = "plain texts";
  results.seed = "1";
  results.program = "0.1.0";
  results.steps = 1;

  TaskResult& choices = results.tasks.emplace_back();
  choices.task = "hellaswag";
  choices.version = "1.0";
  choices.source = "lm_eval/tasks/hellaswag/hellaswag.yaml";
  choices.shots = 10;
  choices.n = 10042;
  choices.cut = 12;
  choices.metrics = {{"acc_norm", 0.412, 0.0049, 0.25}, {"acc", 0.355, 0.0048, 0.25}};
  choices.choice_reliability = ten_bins(0.2, 20);

  TaskResult& subjects = results.tasks.emplace_back();
  subjects.task = "mmlu";
  subjects.version = "1.0";
  subjects.source = "lm_eval/tasks/mmlu/default/_default_template_yaml";
  subjects.shots = 5;
  subjects.n = 300;
  subjects.metrics = {{"acc", 0.263, 0.0254, 0.25}};
  subjects.groups = {{"virology", 100, {{"acc", 0.31, 0.046, 0.25}}},
                     {"abstract_algebra", 100, {{"acc", 0.22, 0.041, 0.25}}},
                     {"marketing", 100, {{"acc", 0.26, 0.044, 0.25}}}};
  subjects.choice_reliability = ten_bins(0.5, 1);

  TaskResult& text = results.tasks.emplace_back();
  text.task = "gsm8k";
  text.version = "3.0";
  text.source = "lm_eval/tasks/gsm8k/gsm8k.yaml";
  text.shots = 5;
  text.n = 1319;
  text.metrics = {{"exact_match,strict-match", 0.084, 0.00764, 0},
                  {"exact_match,flexible-extract", 0.099, 0.00823, 0}};
  text.tokens_per_forward = 1;
  text.generated_tokens = 150'000;

  TaskResult& words = results.tasks.emplace_back();
  words.task = "lambada_openai";
  words.version = "1.0";
  words.source = "lm_eval/tasks/lambada/lambada_openai.yaml";
  words.n = 5153;
  words.metrics = {{"acc", 0.302, 0.0064, 0}, {"perplexity", 41.7, 1.62, 0}};

  TaskResult& bytes = results.tasks.emplace_back();
  bytes.task = "held_out";
  bytes.version = "1";
  bytes.source = "held-out documents";
  bytes.n = 200;
  bytes.metrics = {{"bits_per_byte", 1.083, 0.0121, 0}};
  return results;
}

/// The same model, decoding as `mode` says: a little worse at gsm8k, but with fewer passes.
inline EvalResults other_mode(const std::string& mode, double balance, double accuracy,
                              double tokens_per_forward) {
  EvalResults results = sample_results();
  results.mode = mode;
  results.balance = balance;
  TaskResult& text = results.tasks[2];
  text.metrics[0].value = accuracy;
  text.tokens_per_forward = tokens_per_forward;
  if (mode != "ar") text.draft_reliability = ten_bins(0.1, 5);
  return results;
}

/// A better model with another tokenizer, on fewer examples and along a bound.
inline EvalResults other_model() {
  EvalResults results = sample_results();
  results.model = "small-30m";
  results.parameters = 30'100'000;
  results.fingerprint = "1111222233334444";
  results.tokenizer_fingerprint = "123456789abcdef0";
  results.score = "block:8";
  results.limit = 500;
  results.tasks[0].metrics = {{"acc_norm", 0.471, 0.0223, 0.25}, {"acc", 0.371, 0.0216, 0.25}};
  results.tasks[0].n = 500;
  results.tasks[0].cut = 0;
  results.tasks[3].metrics[1].value = 28.4;
  results.tasks[4].metrics[0] = {"bits_per_byte", 0.982, 0.0118, 0};
  results.tasks[1].groups.pop_back();
  return results;
}

}  // namespace evo::eval::testing
