// The patterns that most published tokenizers cut text with, and code that does what they say.
#pragma once

#include <cstddef>
#include <string_view>

namespace evo::tokenizer {

/// GPT-2's pattern, which is also what Hugging Face's ByteLevel uses with `use_regex`: an English
/// contraction; letters, digits or other signs with at most one space before them; white space.
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Llama-3's: numbers in groups of up to three digits, one sign of any kind before letters, line
/// ends with the signs before them.
inline constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

/// That of Qwen2, 2.5 and 3: Llama-3's, but each digit alone.
inline constexpr const char* kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

/// End of the match that begins at `from` in valid UTF-8, if ASCII alone decides it; 0 where the
/// regular expression has to be asked, because a character beyond ASCII plays a part. Several times
/// quicker than the expression, and no Unicode tables that could differ from its own.
using WordScanner = size_t (*)(std::string_view text, size_t from);

/// Null if the pattern is none of those above.
WordScanner find_word_scanner(std::string_view pattern);

}  // namespace evo::tokenizer
