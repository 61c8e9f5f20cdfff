// Which worked examples stand before a question.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/data/python_random.h"

namespace evo::eval {

/// lm-evaluation-harness's default sampler (lm_eval/api/samplers.py, ContextSampler): draws anew
/// for every document, and the generator goes on from document to document.
class ShotSampler {
 public:
  struct Document {
    std::string key;   ///< equal for equal documents
    std::string text;  ///< question and answer, with what parts them from the next ones
  };

  /// Of `draws` documents the first `shots` that are not the question itself are shown. The harness
  /// draws one more than it shows if the few-shot split is the one that it evaluates or if neither
  /// is named (then the shots come from the train split, if there is one). Throws Error naming
  /// `source` if there are too few documents.
  ShotSampler(std::vector<Document> pool, size_t shots, size_t draws, std::string_view source);

  /// What stands before the next document. Has to be called for each, in their order.
  [[nodiscard]] std::string next(std::string_view key);

 private:
  std::vector<Document> pool_;
  size_t shots_, draws_;
  PythonRandom random_;
};

}  // namespace evo::eval
