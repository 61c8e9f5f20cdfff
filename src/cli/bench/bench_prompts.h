// What benchmarks of decoding continue.
#pragma once

#include <string>
#include <vector>

#include "cli/bench/bench_decode.h"
#include "tokenizer/tokenizer.h"

namespace evo::cli {

/// For a model of random weights.
[[nodiscard]] std::vector<DecodeBenchPrompt> random_prompts(const model::ModelConfig& config);

/// The first `limit` prompts of a file: JSON lines with `prompt` and perhaps `kind`, or plain
/// lines; without a file, openings of stories. Throws Error if there is none.
[[nodiscard]] std::vector<DecodeBenchPrompt> read_prompts(const std::string& path, int64_t limit,
                                                          const tokenizer::Tokenizer& tokenizer);

}  // namespace evo::cli
