// Keys and values of the texts of late, for prompts that begin as they do: a conversation is not
// read again with every turn, nor a long instruction that many requests have in common.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "decode/session/session.h"
#include "model/kv_cache.h"

namespace evo::decode {

/// Entries are exact (KvCache), so a text does not depend on what is found here. For one thread.
class PrefixCache {
 public:
  using Clock = std::chrono::steady_clock;

  explicit PrefixCache(std::shared_ptr<model::KvPool> pool) : pool_(std::move(pool)) {}

  /// A cache for a session of this prompt: of its longest beginning that is known, of all but its
  /// last token at most; empty if nothing is.
  [[nodiscard]] model::KvCache find(const Prompt& prompt);

  /// Takes what a session has read and generated. It cannot go on.
  void keep(Session& session);

  /// Blocks of the entries, shared ones counted for each.
  [[nodiscard]] int64_t blocks() const { return blocks_; }
  /// Forgets entries, those first that were not used for the longest time, until at most so many
  /// blocks are left.
  void shrink(int64_t blocks);
  /// Blocks of the entry that was used last; 0 if there is none.
  [[nodiscard]] int64_t latest_blocks() const;
  /// Forgets entries that neither came nor were found since then.
  void forget_unused_since(Clock::time_point time);

 private:
  struct Entry {
    std::vector<int32_t> text;  // as long as the cache
    model::KvCache cache;
    Clock::time_point used;
  };
  [[nodiscard]] static int64_t blocks_of(const Entry& entry);
  void move_to_front(std::list<Entry>::iterator entry);
  void remove(std::list<Entry>::iterator entry);

  std::shared_ptr<model::KvPool> pool_;
  std::list<Entry> entries_;  // the one used last comes first
  int64_t blocks_ = 0;
};

}  // namespace evo::decode
