#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/threads/parallel.h"
#include "files/files.h"
#include "tokenizer/encoder.h"
#include "tokenizer/fingerprint.h"
#include "tokenizer/readers/tokenizer_files.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/steps/post_processor.h"
#include "tokenizer/steps/text_decoder.h"

namespace evo::tokenizer {
namespace {

// Names of the token that ends a document, in the order in which a file with several means them.
constexpr const char* kEndsOfText[] = {kEndOfText, "<|end_of_text|>", "</s>", "<eos>",
                                       "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"};

// Large enough that the threads' caches of words are worth their warming up.
constexpr size_t kParallelBytes = size_t{1} << 20;

int32_t find_added(const TokenizerSpec& spec, std::string_view name) {
  for (const AddedToken& token : spec.added) {
    if (!token.hidden && spec.tokens[token.id] == name) return token.id;
  }
  return -1;
}

int32_t find_end_of_text(const TokenizerSpec& spec) {
  for (const char* name : kEndsOfText) {
    if (const int32_t id = find_added(spec, name); id >= 0) return id;
  }
  return spec.end_of_text.empty() ? -1 : find_added(spec, spec.end_of_text);
}

// [V] bytes of each id; empty if they are the tokens' own texts.
std::vector<std::string> decode_tokens(const TokenizerSpec& spec, const TextDecoder& decoder) {
  std::vector<std::string> bytes;
  for (const std::string& token : spec.tokens) {
    if (token.empty()) {
      bytes.emplace_back();  // no token has this id
      continue;
    }
    std::optional<std::string> text = decoder.bytes_of(token);
    if (!text) return {};
    bytes.push_back(std::move(*text));
  }
  return bytes;
}

std::vector<bool> find_special(const TokenizerSpec& spec) {
  std::vector<bool> special(spec.tokens.size());
  for (const AddedToken& token : spec.added) special[token.id] = token.special;
  return special;
}

// Whether a spec has the form that from_merges() gives: its first tokens are the bytes in order.
bool is_own_form(const TokenizerSpec& spec) {
  if (spec.tokens.size() <= 256 || spec.added.size() != 1) return false;
  for (size_t byte = 0; byte < 256; ++byte) {
    if (spec.tokens[byte] != std::string(1, static_cast<char>(byte))) return false;
  }
  return spec.pre_tokenizer == kByteLevelJson && spec.tokens.back() == kEndOfText;
}

std::vector<int32_t> find_begin_of_text(const TokenizerSpec& spec, const PostProcessor& frame,
                                        int32_t end_of_text) {
  if (frame.prefix.empty() && is_own_form(spec)) return {end_of_text};
  return frame.prefix;
}

// Whether a text may be cut by next_common_cut() without change of its ids. An added token that
// is found in ordinary text might lie across a cut.
bool may_cut(const TokenizerSpec& spec, const EncodingTables& tables) {
  return tables.pre_tokenizer.keeps_parts_apart() && tables.normalizer.keeps_parts_apart() &&
         std::all_of(spec.added.begin(), spec.added.end(), [](auto& t) { return t.special; });
}

void check_ids(const TokenizerSpec& spec) {
  const size_t size = spec.tokens.size();
  if (size == 0) fail("the vocabulary is empty");
  if (size >= INT32_MAX) fail("{} tokens are too many", size);
  for (const AddedToken& token : spec.added) {
    if (token.id < 0 || static_cast<size_t>(token.id) >= size) {
      fail("an added token has id {}, but ids are 0..{}", token.id, size - 1);
    }
  }
  if (spec.unknown >= static_cast<int32_t>(size)) {
    fail("the unknown token has id {}, but ids are 0..{}", spec.unknown, size - 1);
  }
}

}  // namespace

struct Tokenizer::State {
  explicit State(TokenizerSpec checked)
      : spec(std::move(checked)),
        tables(spec),
        decoder(spec.decoder, tables.pre_tokenizer.byte_level()),
        bytes(decode_tokens(spec, decoder)),
        frame(PostProcessor::parse(spec.post_processor, spec.tokens.size())),
        special(find_special(spec)),
        end_of_text(find_end_of_text(spec)),
        begin_of_text(find_begin_of_text(spec, frame, end_of_text)),
        cuttable(may_cut(spec, tables)),
        fingerprint(fingerprint_of(spec, tables)) {}

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
  const TextDecoder decoder;
  const std::vector<std::string> bytes;  // [V], or empty: those of spec.tokens
  const PostProcessor frame;
  const std::vector<bool> special;  // [V]
  const int32_t end_of_text;
  const std::vector<int32_t> begin_of_text;
  const bool cuttable;
  const uint64_t fingerprint;

  std::mutex mutex;
  std::vector<std::unique_ptr<Encoder>> encoders;  // idle ones, with warm caches
};

Tokenizer Tokenizer::from_spec(TokenizerSpec spec) {
  check_ids(spec);
  return Tokenizer(std::make_shared<State>(std::move(spec)));
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
  try {
    return from_spec(read_tokenizer(path));
  } catch (const Error& error) {
    fail("tokenizer file {}: {}", path, error.what());
  }
}

void Tokenizer::save(const std::string& path) const {
  files::write_atomically(path, format_tokenizer_json(state_->spec));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> ids;
  encode_append(text, ids, options);
  return ids;
}

void Tokenizer::encode_append(std::string_view text, std::vector<int32_t>& out,
                              const EncodeOptions& options) const {
  const auto append = [&](const std::vector<int32_t>& ids) {
    if (options.framed) out.insert(out.end(), ids.begin(), ids.end());
  };
  append(state_->frame.prefix);
  std::unique_ptr<Encoder> encoder = state_->take_encoder();
  encoder->encode_append(text, options.special, options.guard, out);
  state_->give_back(std::move(encoder));
  append(state_->frame.suffix);
}

std::vector<int32_t> Tokenizer::encode_parallel(std::string_view text) const {
  std::vector<std::string_view> parts;
  while (state_->cuttable && text.size() > kParallelBytes) {
    const size_t cut = next_common_cut(text, kParallelBytes);
    parts.push_back(text.substr(0, cut));
    text.remove_prefix(cut);
  }
  parts.push_back(text);
  std::vector<std::vector<int32_t>> ids(parts.size());
  parallel_items(static_cast<int64_t>(parts.size()),
                 [&](int64_t i) { encode_append(parts[i], ids[i]); });
  std::vector<int32_t> all;
  size_t count = 0;
  for (const auto& part : ids) count += part.size();
  all.reserve(count);
  for (const auto& part : ids) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::string Tokenizer::guarded(std::string_view text, std::string_view guard,
                               bool special_only) const {
  std::string result;
  size_t done = 0;
  for (const size_t place : state_->tables.names.beginnings(text, special_only)) {
    result += text.substr(done, place - done);
    result += guard;
    done = place;
  }
  return result += text.substr(done);
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  TextStream stream(*this);
  std::string text;
  for (const int32_t id : ids) text += stream.push(id);
  return text;
}

std::string Tokenizer::decode_more(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += token_bytes(id);
  return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0) fail("token id {} is negative", id);
  if (id >= vocab_size()) return {};
  return state_->bytes.empty() ? state_->spec.tokens[id] : state_->bytes[id];
}

int32_t Tokenizer::added_token(std::string_view name) const {
  return find_added(state_->spec, name);
}
bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && state_->special[id];
}
int32_t Tokenizer::vocab_size() const {
  return static_cast<int32_t>(state_->spec.tokens.size());
}
int32_t Tokenizer::ordinary_size() const {
  std::vector<bool> added(state_->spec.tokens.size());
  for (const AddedToken& token : state_->spec.added) added[token.id] = !token.hidden;
  int32_t size = vocab_size();
  while (size > 0 && added[size - 1]) --size;
  return size;
}
bool Tokenizer::has(int32_t id) const {
  return id >= 0 && id < vocab_size() && !state_->spec.tokens[id].empty();
}
int32_t Tokenizer::end_of_text() const {
  return state_->end_of_text;
}
int32_t Tokenizer::need_end_of_text() const {
  if (end_of_text() < 0) {
    fail(
        "the tokenizer has no token that ends a text, and one must stand here: name it as "
        "\"eos_token\" in a tokenizer_config.json beside tokenizer.json");
  }
  return end_of_text();
}
std::span<const int32_t> Tokenizer::prefix() const {
  return state_->frame.prefix;
}
std::span<const int32_t> Tokenizer::begin_of_text() const {
  return state_->begin_of_text;
}
uint64_t Tokenizer::fingerprint() const {
  return state_->fingerprint;
}
const TokenizerSpec& Tokenizer::spec() const {
  return state_->spec;
}
const LeadingRule& Tokenizer::leading() const {
  return state_->decoder.leading();
}

TextStream::TextStream(Tokenizer tokenizer)
    : tokenizer_(std::move(tokenizer)), to_strip_(tokenizer_.leading().count) {}

std::string TextStream::push(int32_t id) {
  std::string_view bytes = tokenizer_.token_bytes(id);
  if (to_strip_ > 0) {
    const std::string& content = tokenizer_.leading().content;
    while (to_strip_ > 0 && bytes.starts_with(content)) {
      bytes.remove_prefix(content.size());
      --to_strip_;
    }
    if (!bytes.empty()) to_strip_ = 0;
  }
  return std::string(bytes);
}

}  // namespace evo::tokenizer
