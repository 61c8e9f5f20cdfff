// llama2.c's tokenizer.bin: int32 length of the longest piece, then per piece float score, int32
// length, bytes; all little-endian, until the end of the file.
#pragma once

#include <string_view>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

bool is_llama2c_tokenizer(std::string_view content);

/// The form drops what kind a piece is of: as in llama2.c, ids 0, 1 and 2 are <unk>, <s> and </s>,
/// and pieces named <0x00> to <0xFF> are bytes. Throws Error naming what is damaged.
TokenizerSpec parse_llama2c_tokenizer(std::string_view content);

}  // namespace evo::tokenizer
