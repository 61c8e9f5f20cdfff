// The tokenizer in the metadata of a GGUF file.
#pragma once

#include "tokenizer/tokenizer_spec.h"
#include "weights/gguf/gguf_file.h"
#include "weights/gguf/gguf_writer.h"

namespace evo::tokenizer {

/// Of the kinds gpt2 (BPE over bytes) and llama (SentencePiece's BPE), as Hugging Face's tokenizer
/// of the same model does it. Throws Error naming what is damaged, missing or not supported.
[[nodiscard]] TokenizerSpec spec_of_gguf(const weights::GgufFile& file);

/// What GGUF says beside the vocabulary; -1: nothing.
struct GgufSpecialTokens {
  int64_t begin = -1;
  std::vector<int64_t> ends;  ///< of texts, turns and messages, as far as there are
};

/// The other way round. The vocabulary is filled up to `rows`, the rows of the model's embedding.
/// Throws Error if GGUF cannot say what the tokenizer does.
void export_tokenizer(const TokenizerSpec& spec, const GgufSpecialTokens& special, int64_t rows,
                      weights::GgufWriter& writer);

}  // namespace evo::tokenizer
