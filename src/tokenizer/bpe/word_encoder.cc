#include "tokenizer/bpe/word_encoder.h"

#include <algorithm>
#include <cstring>

#include "text/utf8.h"
#include "tokenizer/bpe/byte_alphabet.h"

namespace evo::tokenizer {

std::span<const int32_t> WordCache::find(std::string_view word) const {
  const Slot& slot = slots_[slot_of(word)];
  if (slot.length != word.size()) return {};
  if (std::memcmp(slot.bytes, word.data(), word.size()) != 0) return {};
  return {slot.ids, slot.count};
}

void WordCache::insert(std::string_view word, std::span<const int32_t> ids) {
  if (word.size() > sizeof(Slot::bytes) || ids.size() > std::size(Slot().ids)) return;
  Slot& slot = slots_[slot_of(word)];
  slot.length = static_cast<uint8_t>(word.size());
  slot.count = static_cast<uint8_t>(ids.size());
  std::memcpy(slot.bytes, word.data(), word.size());
  std::copy(ids.begin(), ids.end(), slot.ids);
}

void WordEncoder::encode_append(std::string_view word, std::vector<int32_t>& out) {
  if (tables_.cut_at_space_marks) {
    const size_t mark = kSpaceMark.size();
    for (size_t from = 0; (from = word.find(kSpaceMark, from)) != std::string_view::npos;) {
      const bool in_run = from == 0 || word.substr(0, from).ends_with(kSpaceMark);
      if (in_run) {
        from += mark;
        continue;
      }
      encode_cached(word.substr(0, from), out);
      word.remove_prefix(from);
      from = mark;
    }
  }
  encode_cached(word, out);
}

void WordEncoder::encode_cached(std::string_view word, std::vector<int32_t>& out) {
  const std::span<const int32_t> known = cache_.find(word);
  if (!known.empty()) {
    out.insert(out.end(), known.begin(), known.end());
    return;
  }
  encode(word);
  cache_.insert(word, tokens_);
  out.insert(out.end(), tokens_.begin(), tokens_.end());
  // An encoder is kept for later texts; it must not keep the memory of one huge word.
  if (constexpr size_t kKept = 1 << 16; tokens_.capacity() > kKept) {
    tokens_ = {};
  }
}

void WordEncoder::encode(std::string_view word) {
  tokens_.clear();
  switch (tables_.model) {
    case TokenizerModel::kBpe:
      merge(word);
      break;
    case TokenizerModel::kUnigram:
      for (const UnigramTable::Part& part : tables_.unigram->cut(word)) {
        const bool unknown = part.id == tables_.unknown;
        if (!unknown || !spell(word.substr(part.begin, part.end - part.begin))) {
          tokens_.push_back(part.id);
        }
      }
      break;
    case TokenizerModel::kWordPiece:
      tables_.word_piece.encode_append(word, tokens_);
      break;
    case TokenizerModel::kWordLevel: {
      const auto found = tables_.word_piece.ids.find(word);
      tokens_.push_back(found != tables_.word_piece.ids.end() ? found->second : tables_.unknown);
    }
  }
}

void WordEncoder::merge(std::string_view word) {
  const auto whole = tables_.whole_words.find(word);
  if (whole != tables_.whole_words.end()) {
    tokens_.push_back(whole->second);
    return;
  }
  if (tables_.byte_level) {
    begin_with_bytes(word);
  } else {
    begin_with_characters(word);
  }
  add_pending();
  tables_.merges.apply(tokens_);
}

void WordEncoder::begin_with_bytes(std::string_view word) {
  for (const char& byte : word) {
    const int32_t id = tables_.bytes[static_cast<unsigned char>(byte)];
    if (id >= 0) {
      add_known(id);
    } else {
      add_missing(to_byte_alphabet({&byte, 1}));
    }
  }
}

// Bytes that are not UTF-8 come one at a time, so that with byte fallback nothing is lost.
void WordEncoder::begin_with_characters(std::string_view word) {
  for (size_t length; !word.empty(); word.remove_prefix(length)) {
    length = std::max<size_t>(1, text::utf8_character_length(word));
    const auto found = tables_.characters.find(word.substr(0, length));
    if (found != tables_.characters.end()) {
      add_known(found->second);
    } else {
      add_missing(word.substr(0, length));
    }
  }
}

void WordEncoder::add_known(int32_t id) {
  add_pending();
  tokens_.push_back(id);
}

// As Hugging Face's library has it: a character spelt in bytes comes before the unknown ones right
// before it, and one that has neither a spelling nor an unknown token is left out.
void WordEncoder::add_missing(std::string_view name) {
  if (spell(name) || tables_.unknown < 0) return;
  if (!tables_.fuse_unknown) add_pending();
  unknown_pending_ = true;
}

// Whether there are tokens for all bytes of `name`, which are then added.
bool WordEncoder::spell(std::string_view name) {
  const auto id_of = [&](char byte) { return tables_.fallback[static_cast<unsigned char>(byte)]; };
  if (!std::all_of(name.begin(), name.end(), [&](char byte) { return id_of(byte) >= 0; })) {
    return false;
  }
  for (const char byte : name) tokens_.push_back(id_of(byte));
  return true;
}

void WordEncoder::add_pending() {
  if (unknown_pending_) tokens_.push_back(tables_.unknown);
  unknown_pending_ = false;
}

}  // namespace evo::tokenizer
