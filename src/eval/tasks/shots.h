// Which worked examples stand before a question.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/data/python_random.h"
#include "eval/tasks/prompt.h"

namespace evo::eval {

/// lm-evaluation-harness's samplers (lm_eval/api/samplers.py).
class ShotSampler {
 public:
  struct Document {
    std::string key;  ///< equal for equal documents
    Shot shot;
  };
  enum class Draw {
    kRandom,  ///< anew for every question; the generator goes on from question to question
    /// One more is drawn, and the question itself is left out. The harness does so if shots come
    /// from the split that it evaluates, or if it is told neither that split nor a test split.
    kRandomOther
  };

  /// Throws Error naming `source` if there are too few documents.
  ShotSampler(std::vector<Document> pool, Draw draw, int64_t shots, std::string_view source);

  /// What stands before the next question. Has to be called for each, in their order.
  [[nodiscard]] std::vector<Shot> next(std::string_view key);

 private:
  [[nodiscard]] std::vector<Shot> drawn(const std::vector<size_t>& indexes,
                                        std::string_view left_out) const;
  [[nodiscard]] std::vector<Shot> drawn_of_others(std::string_view key);

  std::vector<Document> pool_;
  Draw draw_;
  size_t shots_;
  std::string source_;
  PythonRandom random_;
};

using ShotParser = std::function<std::vector<ShotSampler::Document>(const DataFile& file)>;

/// Draws from `pool` as `draw` says or, if there is no such file, from the questions that are
/// evaluated, each of which is left out where it is asked itself.
[[nodiscard]] ShotSampler random_shots(int64_t shots, const std::optional<DataFile>& pool,
                                       ShotSampler::Draw draw, const DataFile& evaluated,
                                       const ShotParser& parse);

/// The first of a task's own. Throws Error naming the task if it has fewer.
[[nodiscard]] std::vector<Shot> first_shots(const Task& task, const TaskOptions& options,
                                            std::vector<Shot> shots);

}  // namespace evo::eval
