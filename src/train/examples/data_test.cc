#include "train/examples/data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/testing.h"
#include "tokenizer/bpe/train_bpe.h"

namespace evo::train {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

class DataTest : public ::testing::Test {
 protected:
  std::string file(std::string_view name, std::string_view text) const {
    write_bytes(folder_ / name, text);
    return (folder_ / name).string();
  }
  const TemporaryFolder folder_;
};

tokenizer::Tokenizer some_tokenizer(int32_t size = 258) {
  const std::string_view texts[] = {"one two one two one two three three"};
  tokenizer::BpeTrainingOptions options;
  options.vocab_size = size;
  options.quiet = true;
  return tokenizer::train_bpe(texts, options);
}

std::vector<int32_t> all_tokens(const data::TokenFile& tokens) {
  std::vector<int32_t> ids(static_cast<size_t>(tokens.size()));
  tokens.copy(0, ids);
  return ids;
}

CorpusOptions corpus_of(std::vector<std::string> files) {
  CorpusOptions options;
  options.files = std::move(files);
  options.quiet = true;
  return options;
}

TEST_F(DataTest, NoTextIsAnError) {
  const CorpusOptions corpus = corpus_of({file("a", "\n<|endoftext|>\n\n")});
  expect_error([&] { (void)sample_texts(corpus); }, {"no text", "--data"});
  expect_error([&] { (void)encode_corpus(corpus, some_tokenizer()); }, {"no text", "--data"});
}

TEST_F(DataTest, SamplesFromTheBeginning) {
  const CorpusOptions corpus =
      corpus_of({file("a", "one\n<|endoftext|>\ntwo"), file("b", "three")});
  EXPECT_EQ(sample_texts(corpus), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(sample_texts(corpus, 4), (std::vector<std::string>{"one", "two"}));
}

TEST_F(DataTest, EndOfTextIsAroundEveryDocument) {
  const tokenizer::Tokenizer tokenizer = some_tokenizer();
  const int32_t end = tokenizer.end_of_text();
  std::vector<int32_t> expected = {end};
  for (const char* document : {"one", "two"}) {
    tokenizer.encode_append(document, expected);
    expected.push_back(end);
  }
  EXPECT_EQ(encode_corpus(corpus_of({file("a", "one\n<|endoftext|>\ntwo")}), tokenizer), expected);
}

/// More text than is encoded at a time, by several threads.
TEST_F(DataTest, OrderIsThatOfTheDocuments) {
  const tokenizer::Tokenizer tokenizer = some_tokenizer();
  std::string text, joined;
  for (int i = 0; joined.size() < 9'000'000; ++i) {
    const std::string document(static_cast<size_t>(1 + i * 7919 % 30'000), "otw"[i % 3]);
    text += document + "\n<|endoftext|>\n";
    joined += document;
  }
  const CorpusOptions corpus = corpus_of({file("a", text)});
  const data::TokenFile tokens = prepare_tokens(corpus, tokenizer, folder_ / "tokens.bin");
  std::string decoded;
  for (const int32_t id : all_tokens(tokens)) {
    if (id != tokenizer.end_of_text()) decoded += tokenizer.token_bytes(id);
  }
  EXPECT_TRUE(decoded == joined);
  EXPECT_EQ(tokens.held_out_begin(), tokens.size());
}

/// Held-out documents are chosen by content: the same in another order, copies together.
TEST_F(DataTest, HeldOutDocumentsAreChosenByContent) {
  const tokenizer::Tokenizer tokenizer = some_tokenizer();
  const auto held_out = [&](bool backwards) {
    std::string text;
    for (int i = 0; i < 1000; ++i) {
      const int number = backwards ? 999 - i : i;
      text += "one " + std::to_string(number / 2) + "\n<|endoftext|>\n";
    }
    CorpusOptions corpus = corpus_of({file("a", text)});
    corpus.held_out = 0.2;
    const data::TokenFile tokens = prepare_tokens(corpus, tokenizer, folder_ / "tokens.bin");
    const auto ids = all_tokens(tokens);
    const auto begin = ids.begin() + tokens.held_out_begin();
    EXPECT_EQ(ids.front(), tokenizer.end_of_text());
    EXPECT_EQ(*begin, tokenizer.end_of_text());
    const std::span<const int32_t> tail(begin, ids.end());
    std::vector<std::string> documents(1);
    for (const int32_t id : tail.subspan(1)) {
      if (id == tokenizer.end_of_text()) {
        documents.emplace_back();
      } else {
        documents.back() += tokenizer.token_bytes(id);
      }
    }
    documents.pop_back();
    std::ranges::sort(documents);
    return documents;
  };
  const std::vector<std::string> documents = held_out(false);
  EXPECT_EQ(documents, held_out(true));
  for (size_t i = 0; i < documents.size(); i += 2) EXPECT_EQ(documents[i], documents[i + 1]);
  // 500 pairs, each held out with probability 0.2: five standard deviations of the binomial.
  EXPECT_NEAR(static_cast<double>(documents.size()) / 2, 100, 5 * std::sqrt(500 * 0.2 * 0.8));
}

TEST_F(DataTest, OnlyWhatTheAssistantSaysIsLearnt) {
  const tokenizer::Tokenizer tokenizer = some_tokenizer();
  CorpusOptions corpus =
      corpus_of({file("a.jsonl",
                      "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}, "
                      "{\"role\": \"assistant\", \"content\": \"two\"}]}\n{\"text\": \"three\"}")});
  expect_error([&] { (void)encode_corpus(corpus, tokenizer); }, {"conversations"});
  corpus.chat_format = [](std::span<const text::ChatMessage> messages) {
    std::vector<ChatPart> parts;
    for (const text::ChatMessage& m : messages) parts.push_back({m.content, m.role == "assistant"});
    return parts;
  };
  const data::TokenFile tokens = prepare_tokens(corpus, tokenizer, folder_ / "tokens.bin");
  std::vector<uint8_t> learnt(static_cast<size_t>(tokens.size()));
  tokens.copy_learnt(0, learnt);
  std::string said, heard;
  const auto ids = all_tokens(tokens);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == tokenizer.end_of_text()) {
      EXPECT_EQ(learnt[i], 1);
    } else {
      (learnt[i] != 0 ? said : heard) += tokenizer.token_bytes(ids[i]);
    }
  }
  EXPECT_EQ(said, "twothree");
  EXPECT_EQ(heard, "one");
}

TEST_F(DataTest, OfAPromptNothingIsLearnt) {
  const tokenizer::Tokenizer tokenizer = some_tokenizer();
  const CorpusOptions corpus =
      corpus_of({file("a.jsonl", "{\"prompt\": \"one\", \"completion\": \"two\"}")});
  const data::TokenFile tokens = prepare_tokens(corpus, tokenizer, folder_ / "tokens.bin");
  std::vector<uint8_t> learnt(static_cast<size_t>(tokens.size()));
  tokens.copy_learnt(0, learnt);
  const size_t prompt = tokenizer.encode("one").size(), text = tokenizer.encode("two").size();
  std::vector<uint8_t> expected(2 + prompt + text, 1);  // the ends of texts are learnt
  std::fill_n(expected.begin() + 1, prompt, uint8_t{0});
  EXPECT_EQ(learnt, expected);
  EXPECT_EQ(sample_texts(corpus), std::vector<std::string>{"onetwo"});
}

TEST_F(DataTest, TokensAreMadeAgainOnlyIfSomethingDiffers) {
  const tokenizer::Tokenizer tokenizer = some_tokenizer();
  const CorpusOptions corpus = corpus_of({file("a", "one two three")});
  const fs::path path = folder_ / "tokens.bin";
  const auto is_kept = [&](const CorpusOptions& from, const tokenizer::Tokenizer& by) {
    const auto long_ago = fs::last_write_time(path) - std::chrono::hours(1);
    fs::last_write_time(path, long_ago);
    EXPECT_EQ(all_tokens(prepare_tokens(from, by, path)), encode_corpus(from, by));
    return fs::last_write_time(path) == long_ago;
  };
  (void)prepare_tokens(corpus, tokenizer, path);
  EXPECT_TRUE(is_kept(corpus, tokenizer));
  const CorpusOptions other = corpus_of({file("b", "two")});
  EXPECT_FALSE(is_kept(other, tokenizer));
  EXPECT_FALSE(is_kept(other, some_tokenizer(260)));
  EXPECT_TRUE(is_kept(other, some_tokenizer(260)));
  EXPECT_NE(corpus_fingerprint(corpus_of({file("a", "x"), file("b", "y")})),
            corpus_fingerprint(corpus_of({file("b", "y"), file("a", "x")})));
  CorpusOptions held_out = other;
  held_out.held_out = 0.5;
  EXPECT_NE(corpus_fingerprint(held_out), corpus_fingerprint(other));

  testing::flip_bit(path, read_bytes(path).size() - 1, 0);  // damaged
  EXPECT_FALSE(is_kept(other, some_tokenizer(260)));
}

}  // namespace
}  // namespace evo::train
