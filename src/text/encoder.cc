#include "text/encoder.h"

#include <algorithm>
#include <cstring>

namespace evo {

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

void Encoder::encode_append(std::string_view text, std::vector<int32_t>& out) {
  splitter_.start(text);
  for (std::string_view word; splitter_.next(word);) {
    const std::span<const int32_t> known = cache_.find(word);
    if (known.empty()) {
      encode_word(word, out);
    } else {
      out.insert(out.end(), known.begin(), known.end());
    }
  }
}

void Encoder::encode_word(std::string_view word, std::vector<int32_t>& out) {
  tokens_.clear();
  const auto whole = tables_.whole_words.find(word);
  if (whole != tables_.whole_words.end()) {
    tokens_.push_back(whole->second);
  } else {
    for (const char byte : word) {
      tokens_.push_back(tables_.byte_ids[static_cast<unsigned char>(byte)]);
    }
    tables_.merges.apply(tokens_);
  }
  cache_.insert(word, tokens_);
  out.insert(out.end(), tokens_.begin(), tokens_.end());
  // An encoder is kept for later texts; it must not keep the memory of one huge word.
  if (constexpr size_t kKept = 1 << 16; tokens_.capacity() > kKept) {
    tokens_ = {};
  }
}

}  // namespace evo
