// The merges of a BPE tokenizer, ready to be applied to the tokens of a word.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

/// Two token ids as one number: the key of a pair.
inline uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

class MergeTable {
 public:
  static constexpr int32_t kNone = INT32_MAX;  ///< rank of a pair that does not merge

  struct Entry {
    uint64_t key = 0;
    int32_t rank = kNone;
    int32_t result = 0;
  };

  /// The pairs must differ. Merges into an id for which `never` holds are left out.
  explicit MergeTable(std::span<const Merge> merges, const std::vector<bool>& never = {});

  /// The entry of a pair, or one of rank kNone.
  const Entry& find(int32_t left, int32_t right) const {
    return slots_[slot_of(pair_key(left, right))];
  }

  /// Joins neighbours until none can be joined: the pair of lowest rank first, the leftmost of
  /// equal ones. O(n log n) time in the number of tokens.
  void apply(std::vector<int32_t>& tokens) const;

 private:
  size_t slot_of(uint64_t key) const;
  void apply_short(std::vector<int32_t>& tokens) const;

  std::vector<Entry> slots_;  // open addressing, a power of two, at most half full
  int shift_ = 0;             // 64 - log2(slots)
};

}  // namespace evo::tokenizer
