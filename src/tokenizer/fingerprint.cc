#include "tokenizer/fingerprint.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "tokenizer/encoder.h"

namespace evo::tokenizer {
namespace {

// Over numbers as 8 little-endian bytes and strings with their length in front.
class Hash {
 public:
  void add(uint64_t number) {
    for (int i = 0; i < 8; ++i) add_byte(static_cast<unsigned char>(number >> (8 * i)));
  }
  void add(std::string_view text) {
    add(uint64_t{text.size()});
    for (const char byte : text) add_byte(static_cast<unsigned char>(byte));
  }
  uint64_t value() const { return value_; }

 private:
  void add_byte(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001B3u; }
  uint64_t value_ = 0xCBF29CE484222325u;
};

// The first version knew byte-level tokenizers only. What has come since is hashed where it differs
// from that, so that their fingerprints stay.
void add_later_parts(const TokenizerSpec& spec, const EncodingTables& tables, Hash& hash) {
  if (!tables.normalizer.is_identity()) {
    hash.add("normalizer");
    hash.add(tables.normalizer.signature());
  }
  const bool byte_level = tables.pre_tokenizer.byte_level();
  const auto& bytes = tables.words.bytes;
  if (!byte_level || std::find(bytes.begin(), bytes.end(), -1) != bytes.end()) {
    hash.add(byte_level ? "some bytes" : "characters");
    hash.add(uint64_t{spec.byte_fallback});
    hash.add(uint64_t{spec.fuse_unknown});
    hash.add(static_cast<uint64_t>(int64_t{spec.unknown}));
  }
  if (spec.model != TokenizerModel::kBpe) {
    hash.add("model");
    hash.add(static_cast<uint64_t>(spec.model));
    hash.add(spec.continuation);
    hash.add(uint64_t{spec.longest_word});
    for (const double score : spec.scores) hash.add(std::bit_cast<uint64_t>(score));
  }
  for (const AddedToken& token : spec.added) {
    if (token.special && !token.single_word && !token.lstrip && !token.rstrip) continue;
    hash.add("added");
    hash.add(static_cast<uint64_t>(token.id));
    for (const bool flag : {token.special, token.single_word, token.lstrip, token.rstrip}) {
      hash.add(uint64_t{flag});
    }
    hash.add(uint64_t{token.normalized});
    if (token.verbatim) hash.add("verbatim");
    if (token.hidden) hash.add("hidden");
  }
}

}  // namespace

uint64_t fingerprint_of(const TokenizerSpec& spec, const EncodingTables& tables) {
  Hash hash;
  hash.add(spec.tokens.size());
  for (const std::string& token : spec.tokens) hash.add(token);
  hash.add(spec.merges.size());
  for (const Merge& merge : spec.merges) {
    hash.add(pair_key(merge.left, merge.right));
    hash.add(static_cast<uint64_t>(merge.result));
  }
  for (const AddedToken& token : spec.added) hash.add(static_cast<uint64_t>(token.id));
  hash.add(tables.pre_tokenizer.signature());
  hash.add(uint64_t{spec.ignore_merges});
  add_later_parts(spec, tables, hash);
  return hash.value();
}

}  // namespace evo::tokenizer
