// Words to token ids for one thread: the working memory that it needs, and a cache.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/bpe/word_tables.h"

namespace evo::tokenizer {

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

class WordEncoder {
 public:
  /// `tables` must outlive this.
  explicit WordEncoder(const WordTables& tables) : tables_(tables) {}

  void encode_append(std::string_view word, std::vector<int32_t>& out);

 private:
  void encode_cached(std::string_view word, std::vector<int32_t>& out);
  void encode(std::string_view word);
  void merge(std::string_view word);
  void begin_with_bytes(std::string_view word);
  void begin_with_characters(std::string_view word);
  void add_known(int32_t id);
  void add_missing(std::string_view name);
  bool spell(std::string_view name);
  void add_pending();

  const WordTables& tables_;
  WordCache cache_;
  std::vector<int32_t> tokens_;   // of the word at hand
  bool unknown_pending_ = false;  // an unknown token that is not in tokens_ yet
};

}  // namespace evo::tokenizer
