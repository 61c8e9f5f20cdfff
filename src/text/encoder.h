// Text to token ids for one thread: the working memory that encoding needs, and a cache of words.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/merge_table.h"
#include "text/split_pattern.h"

namespace evo {

/// What encoding reads; shared by threads.
struct EncodingTables {
  SplitPattern pattern;
  MergeTable merges;
  std::array<int32_t, 256> byte_ids{};
  /// Words that are tokens without merging; empty unless the tokenizer ignores merges for them.
  std::unordered_map<std::string_view, int32_t> whole_words;
};

/// The ids of short words, so that the common words of a language are merged once. Direct-mapped:
/// a word that falls on another one's slot replaces it, so the size is fixed.
class WordCache {
 public:
  /// The ids of `word`; empty if it is not here.
  std::span<const int32_t> find(std::string_view word) const;
  void insert(std::string_view word, std::span<const int32_t> ids);

 private:
  struct alignas(64) Slot {  // one line of the processor's cache
    uint8_t length = 0;      // 0: free
    uint8_t count = 0;
    char bytes[30];
    int32_t ids[8];
  };
  static constexpr size_t kSlots = size_t{1} << 15;  // 2 MB
  static size_t slot_of(std::string_view word) {
    return std::hash<std::string_view>()(word) % kSlots;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
};

class Encoder {
 public:
  /// `tables` must outlive this.
  explicit Encoder(const EncodingTables& tables) : tables_(tables), splitter_(tables.pattern) {}

  void encode_append(std::string_view text, std::vector<int32_t>& out);

 private:
  void encode_word(std::string_view word, std::vector<int32_t>& out);

  const EncodingTables& tables_;
  Splitter splitter_;
  WordCache cache_;
  std::vector<int32_t> tokens_;  // of the word at hand
};

}  // namespace evo
