// Hugging Face's tokenizer.json, as far as BPE goes.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

/// Far above published vocabularies (35 MB for 262,000 tokens); bounds the memory of a bad file.
inline constexpr int64_t kMaxTokenizerFile = int64_t{128} << 20;

/// JSON of a file that nobody vouches for. Throws Error if it is none, or nested too deep.
nlohmann::json parse_hostile_json(std::string_view text);

/// Throws Error naming the field at fault. What it cannot see (a token per byte and the like) is
/// checked by Tokenizer::from_spec. `truncation` and `padding` are ignored, as they do not concern
/// the meaning of ids.
TokenizerSpec parse_tokenizer_json(std::string_view text);
TokenizerSpec spec_of_document(const nlohmann::json& document);

std::string format_tokenizer_json(const TokenizerSpec& spec);

}  // namespace evo::tokenizer
