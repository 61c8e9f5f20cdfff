#include "tokenizer/bpe/train_bpe.h"

#include <algorithm>
#include <queue>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/process/watcher.h"
#include "tokenizer/bpe/merge_table.h"
#include "tokenizer/bpe/word_counts.h"

namespace evo::tokenizer {
namespace {

constexpr int32_t kBytes = 256;

// Keeps the count of every pair of neighbours up to date while merges change the words.
class PairCounter {
 public:
  explicit PairCounter(const WordCounts& counts) {
    for (const auto& [text, count] : counts) {
      const auto word = static_cast<int32_t>(words_.size());
      words_.push_back({.begin = symbols_.size(), .size = text.size(), .count = count});
      for (const char byte : text) symbols_.push_back(static_cast<unsigned char>(byte));
      const std::span<const int32_t> bytes = symbols(words_.back());
      for (size_t i = 0; i + 1 < bytes.size(); ++i) change_pair(word, bytes[i], bytes[i + 1], 1);
    }
  }

  int64_t count(uint64_t pair) const {
    const auto found = pairs_.find(pair);
    return found == pairs_.end() ? 0 : found->second.count;
  }

  /// Replaces the pair by `result` in all words, leftmost first in each.
  void merge(int32_t left, int32_t right, int32_t result) {
    const std::vector<int32_t> words = std::move(pairs_.at(pair_key(left, right)).words);
    for (const int32_t word : words) merge_in_word(word, left, right, result);
  }

  /// The pairs that have come up since the last call, some perhaps twice.
  std::vector<uint64_t> take_new_pairs() { return std::exchange(new_pairs_, {}); }

 private:
  struct Word {
    size_t begin, size;  // in symbols_
    int64_t count;
  };
  struct Pair {
    int64_t count = 0;
    std::vector<int32_t> words;  // all that hold it; some that did, and some twice
  };

  std::span<int32_t> symbols(const Word& word) {
    return std::span(symbols_).subspan(word.begin, word.size);
  }

  // One more (sign 1) or one less (-1) of a pair in a word.
  void change_pair(int32_t word, int32_t left, int32_t right, int sign) {
    const uint64_t key = pair_key(left, right);
    const auto [found, is_new] = pairs_.try_emplace(key);
    if (is_new) new_pairs_.push_back(key);
    Pair& pair = found->second;
    pair.count += sign * words_[word].count;
    if (pair.count == 0) {
      pairs_.erase(found);
    } else if (sign > 0 && (pair.words.empty() || pair.words.back() != word)) {
      pair.words.push_back(word);
    }
  }

  void merge_in_word(int32_t word, int32_t left, int32_t right, int32_t result) {
    const std::span<int32_t> before = symbols(words_[word]);
    merged_.clear();
    bool previous_joins = false;
    for (size_t i = 0; i < before.size();) {
      const bool joins = before[i] == left && i + 1 < before.size() && before[i + 1] == right;
      const int32_t symbol = joins ? result : before[i];
      if (i > 0 && (joins || previous_joins)) {
        change_pair(word, before[i - 1], before[i], -1);
        change_pair(word, merged_.back(), symbol, 1);
      }
      if (joins) change_pair(word, left, right, -1);
      merged_.push_back(symbol);
      previous_joins = joins;
      i += joins ? 2 : 1;
    }
    std::copy(merged_.begin(), merged_.end(), before.begin());
    words_[word].size = merged_.size();
  }

  std::vector<int32_t> symbols_;
  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;  // those that occur
  std::vector<uint64_t> new_pairs_;
  std::vector<int32_t> merged_;  // working memory
};

class BpeTrainer {
 public:
  BpeTrainer(const WordCounts& counts, const BpeTrainingOptions& options)
      : options_(options), counter_(counts), queue_(Lower{&tokens_}) {
    for (int32_t byte = 0; byte < kBytes; ++byte) {
      tokens_.emplace_back(1, static_cast<char>(byte));
    }
    queue_new_pairs();
  }

  Tokenizer train() {
    const int32_t wanted = options_.vocab_size - 1;  // <|endoftext|> comes on top
    Progress progress("merging pairs", wanted - kBytes, "tokens", options_.quiet);
    while (size() < wanted && !queue_.empty()) {
      if (options_.stop()) fail_interrupted("interrupted while training the tokenizer");
      merge_next();
      progress.update(size() - kBytes);
    }
    progress.finish();
    if (size() < wanted) {
      log_warning(
          "the text is too small for a vocabulary of {}: no other pair occurs {} times; the "
          "tokenizer has {} tokens",
          options_.vocab_size, options_.min_count, size() + 1);
    }
    return Tokenizer::from_merges(merges_);
  }

 private:
  struct Candidate {
    int64_t count;
    int32_t left, right;
  };
  struct Lower {
    const std::vector<std::string>* tokens;
    bool operator()(const Candidate& a, const Candidate& b) const {
      if (a.count != b.count) return a.count < b.count;
      if (a.left != b.left) return (*tokens)[a.left] < (*tokens)[b.left];
      return (*tokens)[a.right] < (*tokens)[b.right];
    }
  };

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }

  void queue(uint64_t pair) {
    const int64_t count = counter_.count(pair);
    if (count < options_.min_count) return;
    queue_.push({count, static_cast<int32_t>(pair >> 32), static_cast<int32_t>(pair & UINT32_MAX)});
  }

  void queue_new_pairs() {
    for (const uint64_t pair : counter_.take_new_pairs()) queue(pair);
  }

  // A token comes up in one merge only, everywhere at once: whatever stands around a stretch of
  // bytes that becomes one token, the merges inside it were the same ones. So its bytes are new,
  // and the count of a pair can only fall after the merge that made the younger of its tokens.
  // Hence the queue may be lazy: a count in it is the true one or too high.
  void merge_next() {
    const Candidate best = queue_.top();
    queue_.pop();
    const uint64_t pair = pair_key(best.left, best.right);
    if (counter_.count(pair) != best.count) {
      queue(pair);
      return;
    }
    counter_.merge(best.left, best.right, size());
    tokens_.push_back(tokens_[best.left] + tokens_[best.right]);
    merges_.emplace_back(best.left, best.right);
    queue_new_pairs();
  }

  const BpeTrainingOptions options_;
  std::vector<std::string> tokens_;
  PairCounter counter_;
  std::priority_queue<Candidate, std::vector<Candidate>, Lower> queue_;
  std::vector<std::pair<int32_t, int32_t>> merges_;
};

}  // namespace

Tokenizer train_bpe(std::span<const std::string_view> texts, const BpeTrainingOptions& options) {
  if (options.vocab_size <= kBytes) {
    fail("vocabulary size is {}, but must be at least {}: 256 bytes and <|endoftext|>",
         options.vocab_size, kBytes + 1);
  }
  if (options.min_count < 1) fail("minimum count is {}, but must be positive", options.min_count);
  const bool has_text = std::any_of(texts.begin(), texts.end(), [](auto t) { return !t.empty(); });
  if (!has_text) fail("no text to train a tokenizer on: give files that are not empty");
  return BpeTrainer(count_words(texts, options.quiet, options.stop), options).train();
}

}  // namespace evo::tokenizer
