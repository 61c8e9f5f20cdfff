// What lies beside a tokenizer in a Hugging Face folder and changes it: tokenizer_config.json,
// special_tokens_map.json, added_tokens.json.
#pragma once

#include <filesystem>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

/// Adds to `spec` what the files in `folder` say, those that are there, as transformers does:
///  - the tokens of "added_tokens_decoder", or where that is missing of added_tokens.json, by
///    rising id. One that the tokenizer has keeps its id and takes the flags; others get the next
///    free ids, whatever the file says.
///  - the tokens that are named by their role ("eos_token", "extra_special_tokens", ...) and still
///    missing, as special tokens.
/// "add_bos_token" counts for nothing there beside a tokenizer.json, and so it does here.
/// Throws Error naming the file at fault.
void apply_companion_files(const std::filesystem::path& folder, TokenizerSpec& spec);

}  // namespace evo::tokenizer
