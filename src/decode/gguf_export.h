// A model as one file in llama.cpp's format.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "model/sources/weight_source.h"
#include "tokenizer/tokenizer.h"

namespace evo::decode {

struct GgufExport {
  model::WeightSource source;  ///< of a backbone alone
  tokenizer::Tokenizer tokenizer;
  std::string chat_template = {};       ///< Jinja; empty: none
  json::Record generation_config = {};  ///< may be empty
  std::string name = {};                ///< what programs show
  std::string_view format = "BF16";     ///< of matrices, one that can be written
};

/// Throws Error if GGUF has no place for something of the model, or the file cannot be written.
void write_gguf(const std::filesystem::path& path, GgufExport model);

}  // namespace evo::decode
