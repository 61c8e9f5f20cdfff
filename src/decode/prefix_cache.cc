#include "decode/prefix_cache.h"

#include <algorithm>

namespace evo::decode {
namespace {

int64_t common_length(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

/// A gap's suffix has places behind the gap, and comes before it.
bool are_in_order(std::span<const int32_t> positions) {
  for (size_t i = 0; i < positions.size(); ++i) {
    if (positions[i] != static_cast<int32_t>(i)) return false;
  }
  return true;
}

}  // namespace

model::KvCache PrefixCache::find(const Prompt& prompt) {
  if (!are_in_order(prompt.positions)) return model::KvCache(pool_);
  const auto readable = std::span(prompt.tokens).first(prompt.tokens.size() - 1);
  auto best = entries_.end();
  int64_t longest = 0;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    const int64_t length = common_length(readable, entry->text);
    if (length > longest) longest = length, best = entry;
  }
  if (longest == 0) return model::KvCache(pool_);
  move_to_front(best);
  model::KvCache found = best->cache.fork();
  found.truncate(longest);
  return found;
}

void PrefixCache::keep(Session& session) {
  model::KvCache cache = session.release_cache();
  if (cache.length() == 0 || !are_in_order(session.prompt_positions())) return;
  const auto read = session.text().first(cache.length());
  Entry entry{{read.begin(), read.end()}, std::move(cache), Clock::now()};
  for (auto other = entries_.begin(); other != entries_.end();) {
    const int64_t common = common_length(other->text, entry.text);
    if (common == std::ssize(entry.text)) {  // it holds this one already
      move_to_front(other);
      return;
    }
    const auto next = std::next(other);
    if (common == std::ssize(other->text)) remove(other);  // this one holds it
    other = next;
  }
  blocks_ += blocks_of(entry);
  entries_.push_front(std::move(entry));
}

void PrefixCache::shrink(int64_t blocks) {
  while (blocks_ > blocks) remove(std::prev(entries_.end()));
}

int64_t PrefixCache::latest_blocks() const {
  return entries_.empty() ? 0 : blocks_of(entries_.front());
}

void PrefixCache::forget_unused_since(Clock::time_point time) {
  while (!entries_.empty() && entries_.back().used < time) remove(std::prev(entries_.end()));
}

int64_t PrefixCache::blocks_of(const Entry& entry) {
  return (entry.cache.length() + ops::kCacheBlock - 1) / ops::kCacheBlock;
}

void PrefixCache::move_to_front(std::list<Entry>::iterator entry) {
  entry->used = Clock::now();
  entries_.splice(entries_.begin(), entries_, entry);
}

void PrefixCache::remove(std::list<Entry>::iterator entry) {
  blocks_ -= blocks_of(*entry);
  entries_.erase(entry);
}

}  // namespace evo::decode
