// What one client has asked for, so that it is told how much of a prompt was known from its own
// requests, and never what others have asked.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <span>
#include <vector>

namespace evo::serve {

/// May be used by any number of threads.
class OwnTexts {
 public:
  /// Remembers the texts of late, `most` tokens in all.
  explicit OwnTexts(size_t most = size_t{1} << 16) : most_(most) {}

  /// Tokens at the beginning of `prompt` that an earlier text began with, too.
  [[nodiscard]] int64_t known(std::span<const int32_t> prompt) const;
  /// A prompt and what was generated after it.
  void add(std::vector<int32_t> text);

 private:
  size_t most_;
  mutable std::mutex mutex_;
  std::list<std::vector<int32_t>> texts_;  // the latest first
  size_t tokens_ = 0;
};

}  // namespace evo::serve
