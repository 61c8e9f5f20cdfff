// The tokenizer in the metadata of a GGUF file.
#pragma once

#include "tokenizer/tokenizer_spec.h"
#include "weights/gguf/gguf_file.h"

namespace evo {

/// Of the kinds gpt2 (BPE over bytes) and llama (SentencePiece's BPE), as Hugging Face's tokenizer
/// of the same model does it. Throws Error naming what is damaged, missing or not supported.
[[nodiscard]] TokenizerSpec spec_of_gguf(const GgufFile& file);

}  // namespace evo
