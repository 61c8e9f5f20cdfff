#include "tokenizer/bpe/word_counts.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "base/process/watcher.h"
#include "base/threads/parallel.h"
#include "tokenizer/steps/split_pattern.h"

namespace evo::tokenizer {
namespace {

// Large enough that making and merging a table per batch costs little.
constexpr size_t kBatchBytes = size_t{1} << 20;

using Batch = std::vector<std::string_view>;

// Batches of about kBatchBytes, long texts cut where that does not change their words.
std::vector<Batch> make_batches(std::span<const std::string_view> texts) {
  std::vector<Batch> batches(1);
  size_t filled = 0;
  const auto add = [&](std::string_view part) {
    batches.back().push_back(part);
    filled += part.size();
    if (filled < kBatchBytes) return;
    batches.emplace_back();
    filled = 0;
  };
  for (std::string_view text : texts) {
    while (text.size() > kBatchBytes) {
      const size_t cut = next_safe_cut(text, kBatchBytes);
      add(text.substr(0, cut));
      text.remove_prefix(cut);
    }
    add(text);
  }
  return batches;
}

void count_batch(const SplitPattern& pattern, const Batch& batch, WordCounts& counts) {
  Splitter splitter(pattern);
  for (const std::string_view text : batch) {
    splitter.start(text);
    for (std::string_view word; splitter.next(word);) {
      while (word.size() > kMaxTrainingWord) {
        ++counts[word.substr(0, kMaxTrainingWord)];
        word.remove_prefix(kMaxTrainingWord);
      }
      ++counts[word];
    }
  }
}

double megabytes(const Batch& batch) {
  size_t bytes = 0;
  for (const std::string_view text : batch) bytes += text.size();
  return static_cast<double>(bytes) / 1e6;
}

}  // namespace

WordCounts count_words(std::span<const std::string_view> texts, bool quiet,
                       const std::function<bool()>& stop) {
  const SplitPattern pattern(kGpt2Pattern);
  const std::vector<Batch> batches = make_batches(texts);
  double total = 0, done = 0;
  for (const Batch& batch : batches) total += megabytes(batch);

  WordCounts counts;
  Progress progress("counting words", total, "MB", quiet);
  std::mutex mutex;              // of all that follows
  std::exception_ptr exception;  // none may leave a parallel loop
  parallel_items(static_cast<int64_t>(batches.size()), [&](int64_t i) {
    try {
      if (stop()) fail_interrupted("interrupted while counting words");
      WordCounts own;
      count_batch(pattern, batches[i], own);
      const std::lock_guard lock(mutex);
      for (const auto& [word, count] : own) counts[word] += count;
      done += megabytes(batches[i]);
      progress.update(done);
    } catch (...) {
      const std::lock_guard lock(mutex);
      exception = std::current_exception();
    }
  });
  if (exception) std::rethrow_exception(exception);
  return counts;
}

}  // namespace evo::tokenizer
