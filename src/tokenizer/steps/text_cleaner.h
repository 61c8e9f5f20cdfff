// The normalizers that go through a text character by character: BERT's, NMT's, StripAccents.
#pragma once

#include <string>
#include <string_view>

namespace evo::tokenizer {

// All append valid UTF-8 to `out`.

/// Without marks of the Unicode categories Mn, Mc and Me; BERT's takes off Mn only.
void append_without_marks(std::string_view text, std::string& out);
void append_without_accents(std::string_view text, std::string& out);

/// Without control, format and private characters, and with spaces for white space.
void append_clean_for_bert(std::string_view text, std::string& out);

/// With spaces around each Chinese character.
void append_spaced_chinese(std::string_view text, std::string& out);

/// Without some control characters, and with spaces for others and for white space.
void append_clean_for_nmt(std::string_view text, std::string& out);

}  // namespace evo::tokenizer
