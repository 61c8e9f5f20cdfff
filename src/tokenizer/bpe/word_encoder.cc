#include "tokenizer/bpe/word_encoder.h"

#include <algorithm>
#include <cstring>

#include "text/utf8.h"

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
  const auto whole = tables_.whole_words.find(word);
  if (whole != tables_.whole_words.end()) {
    tokens_.push_back(whole->second);
    return;
  }
  if (tables_.byte_level) {
    for (const char byte : word) {
      tokens_.push_back(tables_.byte_ids[static_cast<unsigned char>(byte)]);
    }
  } else {
    begin_with_characters(word);
  }
  tables_.merges.apply(tokens_);
}

void WordEncoder::begin_with_characters(std::string_view word) {
  bool follows_unknown = false;
  for (size_t length; !word.empty(); word.remove_prefix(length)) {
    length = std::max<size_t>(1, text::utf8_character_length(word));
    const auto found = tables_.characters.find(word.substr(0, length));
    if (found != tables_.characters.end()) {
      tokens_.push_back(found->second);
      follows_unknown = false;
    } else {
      add_unknown(word.substr(0, length), follows_unknown);
      follows_unknown = true;
    }
  }
}

// Bytes that are not UTF-8 come one at a time, so that with byte fallback nothing is lost.
void WordEncoder::add_unknown(std::string_view character, bool follows_unknown) {
  if (tables_.byte_ids[0] >= 0) {
    for (const char byte : character) {
      tokens_.push_back(tables_.byte_ids[static_cast<unsigned char>(byte)]);
    }
  } else if (!(follows_unknown && tables_.fuse_unknown)) {
    tokens_.push_back(tables_.unknown);
  }
}

}  // namespace evo::tokenizer
