// SentencePiece's tokenizer.model.
//
// The file is read by ourselves and not by libsentencepiece: 150 lines of protobuf give the same
// ids (tested), while the library would keep its vocabulary to itself, so that it could neither be
// saved as tokenizer.json nor decode token by token, and would bring protobuf and abseil along.
#pragma once

#include <string_view>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

bool is_sentencepiece(std::string_view content);

/// Unigram and BPE models. Throws Error naming what is damaged or not supported (models of words or
/// characters, spaces behind words or not escaped, unused pieces in BPE models).
TokenizerSpec parse_sentencepiece(std::string_view content);

}  // namespace evo::tokenizer
