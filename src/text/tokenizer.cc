#include "text/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "io/files.h"
#include "text/byte_alphabet.h"
#include "text/encoder.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_spec.h"

namespace evo {
namespace {

using TokenIds = std::unordered_map<std::string_view, int32_t>;

std::string shown(std::string_view bytes) {
  return to_byte_alphabet(bytes);
}

// The tokens that text can become: all but the added ones. The keys are views into the spec.
TokenIds index_tokens(const TokenizerSpec& spec) {
  std::unordered_set<int32_t> added;
  for (const AddedToken& token : spec.added) added.insert(token.id);
  TokenIds ids;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (spec.tokens[i].empty()) fail("token {} has no bytes", id);
    if (added.contains(id)) continue;
    const auto [other, is_new] = ids.emplace(spec.tokens[i], id);
    if (!is_new) fail("tokens {} and {} are both '{}'", other->second, id, shown(spec.tokens[i]));
  }
  return ids;
}

std::array<int32_t, 256> find_bytes(const TokenIds& ids) {
  std::array<int32_t, 256> byte_ids{};
  for (int byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<char>(byte);
    const auto found = ids.find(std::string_view(&value, 1));
    if (found == ids.end()) {
      fail("the vocabulary has no token '{}' for byte 0x{:02X}: not a byte-level BPE vocabulary",
           shown({&value, 1}), byte);
    }
    byte_ids[byte] = found->second;
  }
  return byte_ids;
}

void check_merges(const TokenizerSpec& spec) {
  const auto size = static_cast<int32_t>(spec.tokens.size());
  std::unordered_map<uint64_t, size_t> places;
  for (size_t i = 0; i < spec.merges.size(); ++i) {
    const auto [left, right, result] = spec.merges[i];
    for (const int32_t id : {left, right, result}) {
      if (id < 0 || id >= size) fail("merge {} names id {}, but ids are 0..{}", i, id, size - 1);
    }
    if (spec.tokens[result] != spec.tokens[left] + spec.tokens[right]) {
      fail("merge {} of '{}' and '{}' gives '{}'", i, shown(spec.tokens[left]),
           shown(spec.tokens[right]), shown(spec.tokens[result]));
    }
    const auto [other, is_new] = places.emplace(pair_key(left, right), i);
    if (!is_new) {
      fail("merges {} and {} both join '{}' and '{}'", other->second, i, shown(spec.tokens[left]),
           shown(spec.tokens[right]));
    }
  }
}

int32_t find_end_of_text(const TokenizerSpec& spec) {
  for (const std::string_view name : {kEndOfText, kLlamaEndOfText}) {
    for (const AddedToken& token : spec.added) {
      if (spec.tokens[token.id] == name) return token.id;
    }
  }
  fail("no added token is {} (or {}), which marks the end of a text", kEndOfText, kLlamaEndOfText);
}

// FNV-1a, 64 bits, over numbers as 8 little-endian bytes and strings with their length in front.
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

uint64_t hash_spec(const TokenizerSpec& spec) {
  Hash hash;
  hash.add(spec.tokens.size());
  for (const std::string& token : spec.tokens) hash.add(token);
  hash.add(spec.merges.size());
  for (const Merge& merge : spec.merges) {
    hash.add(pair_key(merge.left, merge.right));
    hash.add(static_cast<uint64_t>(merge.result));
  }
  for (const AddedToken& token : spec.added) hash.add(static_cast<uint64_t>(token.id));
  hash.add(spec.pattern);
  hash.add(uint64_t{spec.ignore_merges});
  return hash.value();
}

}  // namespace

struct Tokenizer::State {
  State(TokenizerSpec checked, const TokenIds& ids)
      : spec(std::move(checked)),
        tables{.pattern = SplitPattern(spec.pattern),
               .merges = MergeTable(spec.merges),
               .byte_ids = find_bytes(ids),
               .whole_words = spec.ignore_merges ? ids : TokenIds()},
        end_of_text(find_end_of_text(spec)),
        fingerprint(hash_spec(spec)) {}

  std::unique_ptr<Encoder> take_encoder() {
    {
      const std::lock_guard lock(mutex);
      if (!encoders.empty()) {
        auto encoder = std::move(encoders.back());
        encoders.pop_back();
        return encoder;
      }
    }
    return std::make_unique<Encoder>(tables);
  }

  void give_back(std::unique_ptr<Encoder> encoder) {
    const std::lock_guard lock(mutex);
    encoders.push_back(std::move(encoder));
  }

  const TokenizerSpec spec;
  const EncodingTables tables;
  const int32_t end_of_text;
  const uint64_t fingerprint;

  std::mutex mutex;
  std::vector<std::unique_ptr<Encoder>> encoders;  // idle ones, with warm caches
};

Tokenizer Tokenizer::from_spec(TokenizerSpec spec) {
  if (spec.tokens.empty()) fail("the vocabulary is empty");
  if (spec.tokens.size() >= INT32_MAX) fail("{} tokens are too many", spec.tokens.size());
  for (const AddedToken& token : spec.added) {
    if (token.id < 0 || static_cast<size_t>(token.id) >= spec.tokens.size()) {
      fail("an added token has id {}, but ids are 0..{}", token.id, spec.tokens.size() - 1);
    }
  }
  check_merges(spec);
  // Moving the spec moves the vector of tokens as a whole: the views in the index stay valid.
  const TokenIds ids = index_tokens(spec);
  return Tokenizer(std::make_shared<State>(std::move(spec), ids));
}

Tokenizer Tokenizer::from_merges(std::span<const std::pair<int32_t, int32_t>> merges) {
  TokenizerSpec spec;
  std::unordered_map<std::string, int32_t> ids;
  for (int byte = 0; byte < 256; ++byte) {
    spec.tokens.emplace_back(1, static_cast<char>(byte));
    ids.emplace(spec.tokens.back(), byte);
  }
  for (const auto& [left, right] : merges) {
    const auto size = static_cast<int32_t>(spec.tokens.size());
    for (const int32_t id : {left, right}) {
      if (id < 0 || id >= size) {
        fail("merge {} names id {}, which no byte and no merge before it has", spec.merges.size(),
             id);
      }
    }
    std::string joined = spec.tokens[left] + spec.tokens[right];
    const auto [known, is_new] = ids.emplace(joined, size);
    if (is_new) spec.tokens.push_back(std::move(joined));
    spec.merges.push_back({left, right, known->second});
  }
  spec.added.push_back({.id = static_cast<int32_t>(spec.tokens.size())});
  spec.tokens.push_back(kEndOfText);
  return from_spec(std::move(spec));
}

Tokenizer Tokenizer::load(const std::string& path) {
  const std::string text = read_file(path, kMaxTokenizerFile);
  try {
    return from_spec(parse_tokenizer_json(text));
  } catch (const Error& error) {
    fail("tokenizer file {}: {}", path, error.what());
  }
}

void Tokenizer::save(const std::string& path) const {
  write_atomically(path, format_tokenizer_json(state_->spec));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  encode_append(text, ids);
  return ids;
}

void Tokenizer::encode_append(std::string_view text, std::vector<int32_t>& out) const {
  std::unique_ptr<Encoder> encoder = state_->take_encoder();
  encoder->encode_append(text, out);
  state_->give_back(std::move(encoder));
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += token_bytes(id);
  return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) {
    fail("token id {} is outside the tokenizer's ids 0..{}: it comes from another tokenizer", id,
         vocab_size() - 1);
  }
  return state_->spec.tokens[id];
}

int32_t Tokenizer::vocab_size() const {
  return static_cast<int32_t>(state_->spec.tokens.size());
}
int32_t Tokenizer::end_of_text() const {
  return state_->end_of_text;
}
uint64_t Tokenizer::fingerprint() const {
  return state_->fingerprint;
}
const TokenizerSpec& Tokenizer::spec() const {
  return state_->spec;
}

}  // namespace evo
