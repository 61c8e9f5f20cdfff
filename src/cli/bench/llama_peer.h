// llama.cpp's decoding speed at a shape of ours.
#pragma once

#include <string>

#include "model/config.h"
#include "tensor/tape.h"

namespace evo::cli {

struct LlamaResult {
  std::string name;  ///< "llama.cpp" and its build
  std::string type;  ///< of its weights, as it calls it
  double tokens_per_second = 0;
};

/// Writes the model that run_llama_bench() measures, for other programs of llama.cpp.
void write_llama_model(const std::string& path, const model::ModelConfig& config,
                       tensor::Precision precision);

/// Runs `command` (llama-bench, for the shell) on random weights of `config`'s backbone, one token
/// at a time, `tokens` of them, several times. Throws Error if it fails or prints something else.
LlamaResult run_llama_bench(const std::string& command, const model::ModelConfig& config,
                            tensor::Precision precision, int threads, int64_t tokens);

}  // namespace evo::cli
