// vocab.json and merges.txt, the older form of GPT-2's and Qwen's tokenizers.
#pragma once

#include <filesystem>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

/// Reads both files and tokenizer_config.json, whose tokenizer_class says how text is cut
/// (GPT2Tokenizer or Qwen2Tokenizer) and whose added_tokens_decoder names the added tokens;
/// added_tokens.json adds those that are missing there. Throws Error naming the file at fault.
TokenizerSpec read_vocab_and_merges(const std::filesystem::path& folder);

}  // namespace evo::tokenizer
