#include "tokenizer/bpe/train_bpe.h"

#include <map>

#include "base/testing.h"
#include "base/threads/parallel.h"
#include "text/testing.h"
#include "tokenizer/bpe/word_counts.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/steps/split_pattern.h"
#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {
namespace {

using testing::error_of;

Tokenizer train(const std::vector<std::string>& texts, const BpeTrainingOptions& options) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  return train_bpe(views, options);
}

std::string file_of(const Tokenizer& tokenizer) {
  return format_tokenizer_json(tokenizer.spec());
}

using CountsOfWords = std::map<std::vector<std::string>, int64_t>;  // tokens of a word -> count
using BytePair = std::pair<std::string, std::string>;

std::vector<std::string> merge_word(const std::vector<std::string>& word, const BytePair& pair) {
  std::vector<std::string> merged;
  for (size_t i = 0; i < word.size(); ++i) {
    if (i + 1 < word.size() && word[i] == pair.first && word[i + 1] == pair.second) {
      merged.push_back(word[i] + word[i + 1]);
      ++i;
    } else {
      merged.push_back(word[i]);
    }
  }
  return merged;
}

// The definition, with nothing kept between merges: count all pairs, take the most frequent one,
// the greatest of equal ones, rewrite all words.
std::vector<BytePair> reference_merges(std::string_view text, size_t tokens, int64_t min_count) {
  CountsOfWords words;
  const SplitPattern pattern(kGpt2Pattern);
  Splitter splitter(pattern);
  splitter.start(text);
  for (std::string_view word; splitter.next(word);) {
    std::vector<std::string> bytes;
    for (const char byte : word) bytes.emplace_back(1, byte);
    ++words[bytes];
  }
  std::vector<BytePair> merges;
  while (merges.size() < tokens) {
    std::map<BytePair, int64_t> counts;
    for (const auto& [word, count] : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) counts[{word[i], word[i + 1]}] += count;
    }
    std::pair<int64_t, BytePair> best;
    for (const auto& [pair, count] : counts) best = std::max(best, {count, pair});
    if (best.first < min_count) break;
    merges.push_back(best.second);
    CountsOfWords merged;
    for (const auto& [word, count] : words) merged[merge_word(word, best.second)] += count;
    words = std::move(merged);
  }
  return merges;
}

std::vector<BytePair> merges_of(const Tokenizer& tokenizer) {
  std::vector<BytePair> merges;
  for (const Merge& merge : tokenizer.spec().merges) {
    merges.emplace_back(tokenizer.token_bytes(merge.left), tokenizer.token_bytes(merge.right));
  }
  return merges;
}

// Few letters make overlaps ("aaaa"), ties, and equal tokens by different merges.
TEST(TrainBpe, AgreesWithTheDefinition) {
  Random random(1);
  ::testing::internal::CaptureStderr();  // the warnings that the texts are small
  for (int trial = 0; trial < 60; ++trial) {
    const std::string_view alphabet = trial % 3 == 0 ? "ab " : trial % 3 == 1 ? "aaab  " : "abcde ";
    const std::string text = testing::random_text(random, 50 + random.below(600), alphabet);
    const auto min_count = static_cast<int32_t>(1 + random.below(3));
    const Tokenizer tokenizer =
        train({text}, {.vocab_size = 257 + 60, .min_count = min_count, .quiet = true});
    EXPECT_EQ(merges_of(tokenizer), reference_merges(text, 60, min_count)) << text;
  }
  ::testing::internal::GetCapturedStderr();
}

TEST(TrainBpe, BreaksTiesByTheGreatestPair) {
  const Tokenizer tokenizer = train({"ab yz ab yz"}, {.vocab_size = 258, .quiet = true});
  EXPECT_EQ(merges_of(tokenizer), (std::vector<BytePair>{{"y", "z"}}));
}

// Text with frequent and rare words, and with lines.
std::string english_like(size_t words, uint64_t seed) {
  Random random(seed);
  std::vector<std::string> lexicon;
  for (int i = 0; i < 2000; ++i) {
    lexicon.push_back(testing::random_text(random, 1 + random.below(9), "eeeaaotnrsihldcumpgfb"));
  }
  std::string text;
  for (size_t i = 0; i < words; ++i) {
    text += lexicon[random.below(1 + random.below(lexicon.size()))];
    text += random.below(12) == 0 ? "\n" : " ";
  }
  return text;
}

// Longer than two of the batches that threads work on.
constexpr size_t kWordsOfBatches = 500'000;

TEST(TrainBpe, ResultDoesNotDependOnThreadsOrderOrRuns) {
  const std::string first = english_like(kWordsOfBatches, 2), second = english_like(50'000, 3);
  const BpeTrainingOptions options{.vocab_size = 600, .quiet = true};
  const int before = threads();
  set_threads(1);
  const std::string expected = file_of(train({first, second}, options));
  EXPECT_EQ(file_of(train({second, first}, options)), expected);
  set_threads(3);
  EXPECT_EQ(file_of(train({first, second}, options)), expected);
  set_threads(before);
}

TEST(TrainBpe, CountsALongTextAsItsWords) {
  const std::string text = english_like(kWordsOfBatches, 4);
  ASSERT_GT(text.size(), size_t{2} << 20);
  const SplitPattern pattern(kGpt2Pattern);
  Splitter splitter(pattern);
  splitter.start(text);
  WordCounts expected;
  for (std::string_view word; splitter.next(word);) ++expected[word];
  const std::string_view texts[] = {text};
  EXPECT_EQ(count_words(texts, true), expected);
}

TEST(TrainBpe, LongWordsAreCountedInParts) {
  const std::string text(3 * kMaxTrainingWord + 5, 'x');
  const std::string_view texts[] = {text};
  const WordCounts expected = {{std::string_view(text).substr(0, kMaxTrainingWord), 3},
                               {std::string_view("xxxxx"), 1}};
  EXPECT_EQ(count_words(texts, true), expected);
}

TEST(TrainBpe, AHugeWordTakesBoundedTime) {
  Random random(5);
  const std::string text = testing::random_text(random, 1'000'000, "abcdefgh");
  const Tokenizer tokenizer = train({text}, {.vocab_size = 320, .quiet = true});
  EXPECT_EQ(tokenizer.vocab_size(), 320);
}

TEST(TrainBpe, StopsEarlyWithAWarningWhenTheTextIsSmall) {
  ::testing::internal::CaptureStderr();
  const Tokenizer tokenizer = train({"hello hello"}, {.vocab_size = 4096, .quiet = true});
  const std::string output = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(tokenizer.vocab_size(), 256 + 4 + 1);
  EXPECT_NE(output.find("warning: the text is too small for a vocabulary of 4096"),
            std::string::npos)
      << output;
  EXPECT_EQ(tokenizer.end_of_text(), 260);
}

TEST(TrainBpe, MinCountKeepsRarePairsApart) {
  const std::vector<std::string> texts = {"ab ab ab cd cd"};
  EXPECT_EQ(train(texts, {.vocab_size = 300, .min_count = 3, .quiet = true}).vocab_size(), 258);
  EXPECT_EQ(train(texts, {.vocab_size = 300, .min_count = 4, .quiet = true}).vocab_size(), 257);
}

TEST(TrainBpe, SmallestVocabularyIsTheBytes) {
  const Tokenizer tokenizer = train({"hello hello"}, {.vocab_size = 257, .quiet = true});
  EXPECT_EQ(tokenizer.vocab_size(), 257);
  EXPECT_EQ(tokenizer.encode("hi"), (std::vector<int32_t>{'h', 'i'}));
}

TEST(TrainBpe, RefusesWhatCannotWork) {
  EXPECT_NE(error_of([] { train({}, {}); }).find("no text"), std::string::npos);
  EXPECT_NE(error_of([] { train({"", ""}, {}); }).find("give files"), std::string::npos);
  EXPECT_NE(error_of([] { train({"a"}, {.vocab_size = 256}); }).find("at least 257"),
            std::string::npos);
  EXPECT_NE(error_of([] { train({"a"}, {.min_count = 0}); }).find("positive"), std::string::npos);
}

TEST(TrainBpe, LearnsFromBytesThatAreNotText) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "\xFF\xFE\x80 ok ";
  const Tokenizer tokenizer = train({text}, {.vocab_size = 262, .quiet = true});
  EXPECT_LT(tokenizer.encode("\xFF\xFE\x80").size(), 3u);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

}  // namespace
}  // namespace evo::tokenizer
