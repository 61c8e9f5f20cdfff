// Any text as a section of tokenizer.json, the first byte says which, in a tokenizer that is whole
// otherwise: normalizers, pre-tokenizers, decoders, templates.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "tokenizer/readers/sentencepiece.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/tokenizer_samples.h"
#include "tokenizer_fuzz.h"

namespace {

constexpr const char* kSections[] = {"normalizer", "pre_tokenizer", "decoder", "post_processor",
                                     "added_tokens"};

const nlohmann::json& sample(bool byte_level) {
  using namespace evo::tokenizer;
  static const auto kBytes =
      nlohmann::json::parse(format_tokenizer_json(Tokenizer::from_merges({}).spec()));
  static const auto kCharacters = nlohmann::json::parse(format_tokenizer_json(
      parse_sentencepiece(evo::testing::sentencepiece_file(evo::testing::sample_pieces()))));
  return byte_level ? kBytes : kCharacters;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  try {
    nlohmann::json document = sample((data[0] & 8) != 0);
    document[kSections[(data[0] & 7) % std::size(kSections)]] =
        evo::tokenizer::parse_hostile_json({reinterpret_cast<const char*>(data + 1), size - 1});
    evo::fuzzing::use_tokenizer(evo::tokenizer::spec_of_document(document));
  } catch (const evo::Error&) {
  }
  return 0;
}
