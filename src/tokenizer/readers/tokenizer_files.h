// The forms in which tokenizers are published.
//
//   tokenizer.json                 Hugging Face                                tokenizer_json.h
//   tokenizer.model                SentencePiece, BPE (Llama-2, Mistral)       sentencepiece.h
//   tokenizer.model                tiktoken: base64 and rank (Llama-3)         tiktoken.h
//   tokenizer.bin, tok512.bin      llama2.c                                    llama2c_tokenizer.h
//   MODEL.gguf                     llama.cpp, in a model's metadata            gguf_tokenizer.h
//   vocab.json + merges.txt        GPT-2 and Qwen, with what tokenizer_config.json says
//
// All become a TokenizerSpec, hence tokenizer.json.
#pragma once

#include <filesystem>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

/// `path`: a file whose content, not name, tells its form; or a folder with one of the files above,
/// of which tokenizer.json counts first. Throws Error naming what is damaged or missing.
TokenizerSpec read_tokenizer(const std::filesystem::path& path);

}  // namespace evo::tokenizer
