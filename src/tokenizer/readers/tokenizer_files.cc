#include "tokenizer/readers/tokenizer_files.h"

#include <string>
#include <string_view>

#include "base/error.h"
#include "files/files.h"
#include "tokenizer/readers/companion_files.h"
#include "tokenizer/readers/gguf/gguf_tokenizer.h"
#include "tokenizer/readers/llama2c_tokenizer.h"
#include "tokenizer/readers/sentencepiece.h"
#include "tokenizer/readers/tiktoken.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/readers/vocab_merges.h"
#include "weights/gguf/gguf_model.h"

namespace evo::tokenizer {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNames[] = {"tokenizer.json", "tokenizer.model", "tokenizer.bin"};

bool is_json(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

TokenizerSpec read_file_of_any_form(const fs::path& path) {
  const std::string content = files::read_file(path, kMaxTokenizerFile);
  if (content.empty()) fail("the file is empty");
  if (is_json(content)) return parse_tokenizer_json(content);
  if (is_tiktoken(content)) return parse_tiktoken(content);
  if (is_llama2c_tokenizer(content)) return parse_llama2c_tokenizer(content);
  if (is_sentencepiece(content)) return parse_sentencepiece(content);
  fail(
      "not a tokenizer that evo knows: expected tokenizer.json, a tokenizer.model of SentencePiece "
      "or tiktoken, a llama2.c tokenizer.bin, or a GGUF file");
}

}  // namespace

TokenizerSpec read_tokenizer(const fs::path& path) {
  if (weights::is_gguf(path)) return spec_of_gguf(weights::GgufModel(path).head());
  if (!fs::is_directory(path)) {
    TokenizerSpec spec = read_file_of_any_form(path);
    // A file that has its name in a folder is the tokenizer of that folder.
    if (path.filename() == kNames[0]) apply_companion_files(path.parent_path(), spec);
    return spec;
  }
  for (const char* name : kNames) {
    if (!fs::exists(path / name)) continue;
    TokenizerSpec spec = read_file_of_any_form(path / name);
    apply_companion_files(path, spec);
    return spec;
  }
  if (fs::exists(path / "vocab.json")) return read_vocab_and_merges(path);
  fail(
      "the folder has no tokenizer: expected tokenizer.json, tokenizer.model, tokenizer.bin, or "
      "vocab.json and merges.txt");
}

}  // namespace evo::tokenizer
