// A hash of all that decides which ids a text gets.
#pragma once

#include <cstdint>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

struct EncodingTables;

/// FNV-1a, 64 bits. It is stored in files, so what it is for a spec must never change.
uint64_t fingerprint_of(const TokenizerSpec& spec, const EncodingTables& tables);

}  // namespace evo::tokenizer
