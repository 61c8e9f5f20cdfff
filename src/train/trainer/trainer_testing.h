// What the tests of the trainer share: short runs in a temporary folder, and what they leave there.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/testing.h"
#include "train/testing.h"
#include "train/trainer/trainer.h"

namespace evo::testing {

using OnSample = std::function<void(const model::Model&, int64_t step)>;

inline train::TrainOptions options_for(const std::filesystem::path& out) {
  std::filesystem::create_directories(out);
  train::TrainOptions options;
  options.out = out.string();
  options.quiet = true;
  options.end_of_text = 15;                                         // which the texts do not hold
  options.stop = [asked = 0]() mutable { return ++asked > 1000; };  // no endless going back
  return options;
}

inline weights::CheckpointFolder checkpoints_in(const std::filesystem::path& out) {
  return {out / "checkpoints", 1000};
}

inline std::string arrays_at(const std::filesystem::path& out, int64_t step) {
  return read_bytes(checkpoints_in(out).folder_of(step) / "state.safetensors");
}

/// The state of a checkpoint but for what the clock decides.
inline std::string state_at(const std::filesystem::path& out, int64_t step) {
  json::Record state = checkpoints_in(out).load(step).state;
  state.erase("seconds");
  return state.dump();
}

inline std::vector<json::Record> metrics_of(const std::filesystem::path& out) {
  std::vector<json::Record> lines;
  std::ifstream file(out / "metrics.jsonl");
  for (std::string text; std::getline(file, text);) {
    lines.push_back(json::Record::parse(text, "metrics"));
  }
  return lines;
}

/// The metrics but for what the clock decides.
inline std::vector<std::string> timeless_metrics_of(const std::filesystem::path& out) {
  std::vector<std::string> lines;
  for (json::Record& line : metrics_of(out)) {
    for (const char* key : {"tokens_per_second", "gemm_peak_fraction", "seconds", "slowest_rank",
                            "slowest_to_median", "communication_seconds", "communication_hidden"}) {
      line.erase(key);
    }
    lines.push_back(line.dump());
  }
  return lines;
}

/// A run whose sampled model is the very one that is trained.
inline train::RunConfig bare_run(int64_t steps) {
  train::RunConfig config = tiny_run(steps);
  config.average_decay = 0;
  return config;
}

class TrainerTest : public ::testing::Test {
 protected:
  train::TrainSummary train(const train::RunConfig& config, const std::filesystem::path& out,
                            bool resume = false, OnSample on_sample = {}) const {
    train::TrainOptions options = options_for(out);
    options.resume = resume;
    options.on_sample = std::move(on_sample);
    return train::Trainer(config, tokens_, std::move(options)).run();
  }

  const ThreadsInTest one_thread_{1};
  const TemporaryFolder folder_;
  const data::TokenFile tokens_{write_repetitive_tokens(folder_ / "tokens", 2000)};
};

}  // namespace evo::testing
