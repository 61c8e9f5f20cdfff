// Any bytes as a tokenizer.model of SentencePiece or tiktoken, or as llama2.c's tokenizer.bin.
#include <cstddef>
#include <cstdint>

#include "tokenizer/readers/llama2c_tokenizer.h"
#include "tokenizer/readers/sentencepiece.h"
#include "tokenizer/readers/tiktoken.h"
#include "tokenizer_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  for (const auto parse : {evo::tokenizer::parse_sentencepiece, evo::tokenizer::parse_tiktoken,
                           evo::tokenizer::parse_llama2c_tokenizer}) {
    try {
      evo::fuzzing::use_tokenizer(parse(content));
    } catch (const evo::Error&) {
    }
  }
  return 0;
}
