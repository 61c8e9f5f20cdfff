// Any bytes as a tokenizer.json. The seed, which the fuzzer changes, is a small whole one.
#include <cstddef>
#include <cstdint>

#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    evo::fuzzing::use_tokenizer(
        evo::tokenizer::parse_tokenizer_json({reinterpret_cast<const char*>(data), size}));
  } catch (const evo::Error&) {
  }
  return 0;
}
