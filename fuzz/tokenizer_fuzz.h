// What the fuzzers of tokenizers do with a spec that was read.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace evo::fuzzing {

/// Makes the tokenizer, encodes and decodes; a tokenizer of bytes must give them back. Errors are
/// an outcome, too.
inline void use_tokenizer(tokenizer::TokenizerSpec spec) {
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::from_spec(std::move(spec));
  for (const std::string_view text : {"the cat's  <s>12\n", "h\xC3\xA9\xFF \xE6\x9D\xB1"}) {
    for (const bool special : {false, true}) {
      const auto ids = tokenizer.encode(text, {.special = special, .framed = special});
      (void)tokenizer.decode(ids);
    }
  }
}

}  // namespace evo::fuzzing
