#include "tokenizer/bpe/merge_table.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <queue>

#include "base/error.h"

namespace evo::tokenizer {
namespace {

// Up to here scanning all ranks for the lowest is quicker than a heap.
constexpr size_t kShortWord = 64;

// Merging with a heap over a linked list of places, for words of any length.
class LongWord {
 public:
  LongWord(const MergeTable& table, std::vector<int32_t>& tokens)
      : table_(table),
        tokens_(tokens),
        count_(static_cast<int32_t>(tokens.size())),
        next_(tokens.size()),
        previous_(tokens.size()) {
    for (int32_t i = 0; i < count_; ++i) {
      next_[i] = i + 1;
      previous_[i] = i - 1;
    }
    std::vector<uint64_t> entries;
    for (int32_t i = 0; i < count_; ++i) {
      const int32_t rank = rank_at(i);
      if (rank != MergeTable::kNone) entries.push_back(pair_key(rank, i));
    }
    queue_ = Queue(std::greater<>(), std::move(entries));
  }

  void merge() {
    while (!queue_.empty()) {
      const uint64_t entry = queue_.top();
      queue_.pop();
      const auto left = static_cast<int32_t>(entry & UINT32_MAX);
      // Outdated unless the place still begins a pair of this rank, which is then the same pair.
      if (rank_at(left) != static_cast<int32_t>(entry >> 32)) continue;
      join(left);
      push(previous_[left]);
      push(left);
    }
    std::erase(tokens_, kJoined);
  }

 private:
  // (rank, place of the left token), lowest first
  using Queue = std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>>;
  static constexpr int32_t kJoined = -1;  // the token became part of the one before

  int32_t rank_at(int32_t left) const {
    if (tokens_[left] == kJoined || next_[left] == count_) return MergeTable::kNone;
    return table_.find(tokens_[left], tokens_[next_[left]]).rank;
  }

  void join(int32_t left) {
    const int32_t right = next_[left];
    tokens_[left] = table_.find(tokens_[left], tokens_[right]).result;
    tokens_[right] = kJoined;
    next_[left] = next_[right];
    if (next_[left] != count_) previous_[next_[left]] = left;
  }

  void push(int32_t left) {
    if (left < 0) return;
    const int32_t rank = rank_at(left);
    if (rank != MergeTable::kNone) queue_.push(pair_key(rank, left));
  }

  const MergeTable& table_;
  std::vector<int32_t>& tokens_;
  const int32_t count_;
  std::vector<int32_t> next_, previous_;  // places of the neighbours; count_ and -1 at the ends
  Queue queue_;
};

}  // namespace

MergeTable::MergeTable(std::span<const Merge> merges, const std::vector<bool>& never) {
  const size_t size = std::bit_ceil(std::max<size_t>(2, 2 * merges.size()));
  slots_.resize(size);
  shift_ = 64 - std::countr_zero(size);
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    if (!never.empty() && never[merges[rank].result]) continue;
    const uint64_t key = pair_key(merges[rank].left, merges[rank].right);
    Entry& slot = slots_[slot_of(key)];
    EVO_CHECK(slot.rank == kNone);
    slot = {.key = key, .rank = static_cast<int32_t>(rank), .result = merges[rank].result};
  }
}

size_t MergeTable::slot_of(uint64_t key) const {
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio spreads the high bits
  size_t at = (key * kGolden) >> shift_;
  while (slots_[at].rank != kNone && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
  return at;
}

void MergeTable::apply(std::vector<int32_t>& tokens) const {
  if (tokens.size() <= kShortWord) {
    apply_short(tokens);
    return;
  }
  if (tokens.size() >= INT32_MAX) {
    fail(
        "a single word of {} bytes is too long (the limit is 2 GB): put spaces into the text or "
        "encode it in parts",
        tokens.size());
  }
  LongWord(*this, tokens).merge();
}

void MergeTable::apply_short(std::vector<int32_t>& tokens) const {
  int32_t ranks[kShortWord];  // of token i with token i + 1
  size_t count = tokens.size();
  const auto rank_at = [&](size_t i) { return find(tokens[i], tokens[i + 1]).rank; };
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = rank_at(i);
  while (count > 1) {
    const size_t best = std::min_element(ranks, ranks + count - 1) - ranks;
    if (ranks[best] == kNone) break;
    tokens[best] = find(tokens[best], tokens[best + 1]).result;
    std::copy(tokens.begin() + best + 2, tokens.begin() + count, tokens.begin() + best + 1);
    std::copy(ranks + best + 1, ranks + count - 1, ranks + best);
    --count;
    if (best > 0) ranks[best - 1] = rank_at(best - 1);
    if (best + 1 < count) ranks[best] = rank_at(best);
  }
  tokens.resize(count);
}

}  // namespace evo::tokenizer
