// A thread-safe map of limited size for things that are slow to make.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace evo::ops {

/// get() makes a missing value under the lock, so that threads that want the same one make it once.
/// When full, the value used longest ago makes room; who still holds it may go on using it.
template <class Key, class Value>
class BoundedCache {
 public:
  explicit BoundedCache(size_t capacity) : capacity_(capacity) {}

  template <class Make>
  std::shared_ptr<const Value> get(const Key& key, const Make& make) {
    const std::lock_guard lock(mutex_);
    auto found = entries_.find(key);
    if (found == entries_.end()) {
      std::shared_ptr<const Value> made = make();
      if (entries_.size() >= capacity_) evict();
      found = entries_.emplace(key, Entry{std::move(made), 0}).first;
    }
    found->second.last_used = ++clock_;
    return found->second.value;
  }

  [[nodiscard]] size_t size() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  struct Entry {
    std::shared_ptr<const Value> value;
    uint64_t last_used;
  };

  /// Looks at every entry: nothing beside the time that the new value took to make.
  void evict() {
    entries_.erase(std::min_element(
        entries_.begin(), entries_.end(),
        [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; }));
  }

  mutable std::mutex mutex_;
  std::map<Key, Entry> entries_;
  size_t capacity_;
  uint64_t clock_ = 0;
};

}  // namespace evo::ops
