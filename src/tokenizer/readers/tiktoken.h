// tiktoken's text form of a vocabulary: per line a token in base64, a space, its rank, which is its
// id. Llama-3's tokenizer.model is one.
#pragma once

#include <string_view>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

bool is_tiktoken(std::string_view content);

/// The form says neither how text is cut nor what the special tokens are. A vocabulary of Llama-3's
/// size gets Llama-3's, which Meta publishes beside it as code: its pattern, and 256 special
/// tokens. Others are refused. Throws Error naming what is damaged or not supported.
TokenizerSpec parse_tiktoken(std::string_view content);

}  // namespace evo::tokenizer
