#include "train/data.h"

#include <gtest/gtest.h>

#include "io/testing.h"
#include "text/trainer.h"

namespace evo {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

using Documents = std::vector<std::string_view>;

class DataTest : public ::testing::Test {
 protected:
  std::string file(std::string_view name, std::string_view text) const {
    write_bytes(folder_ / name, text);
    return (folder_ / name).string();
  }
  const TemporaryFolder folder_;
};

Tokenizer some_tokenizer(int32_t size = 258) {
  const std::string_view texts[] = {"one two one two one two three three"};
  BpeTrainingOptions options;
  options.vocab_size = size;
  options.quiet = true;
  return train_bpe(texts, options);
}

TEST_F(DataTest, SeparatorsAreLinesOfTheirOwn) {
  const Corpus corpus({file("a",
                            "\none\ntwo\n<|endoftext|>\n\nthree\n"
                            "in <|endoftext|> line\n<|endoftext|>not alone\n"
                            "<|endoftext|>\r\nfour\r\n<|endoftext|>\n<|endoftext|>")});
  EXPECT_EQ(
      corpus.documents(),
      (Documents{"one\ntwo", "three\nin <|endoftext|> line\n<|endoftext|>not alone", "four"}));
}

TEST_F(DataTest, FilesAreDocumentsOfTheirOwn) {
  const Corpus corpus({file("a", "one"), file("b", "two\n<|endoftext|>\nthree")});
  EXPECT_EQ(corpus.documents(), (Documents{"one", "two", "three"}));
  EXPECT_EQ(corpus.bytes(), 3u + 23u);
  const Corpus other_order({file("b", "two\n<|endoftext|>\nthree"), file("a", "one")});
  EXPECT_NE(corpus.fingerprint(), other_order.fingerprint());
}

TEST_F(DataTest, NoTextIsAnError) {
  expect_error([&] { Corpus({file("a", "\n<|endoftext|>\n\n")}); }, {"no text", "--data"});
  const std::string missing = (folder_ / "missing").string();
  expect_error([&] { Corpus({missing}); }, {missing});
}

TEST_F(DataTest, EndOfTextIsAroundEveryDocument) {
  const Tokenizer tokenizer = some_tokenizer();
  const Corpus corpus({file("a", "one\n<|endoftext|>\ntwo")});
  const int32_t end = tokenizer.end_of_text();
  std::vector<int32_t> expected = {end};
  for (const char* document : {"one", "two"}) {
    tokenizer.encode_append(document, expected);
    expected.push_back(end);
  }
  EXPECT_EQ(encode_corpus(corpus, tokenizer, true), expected);
}

TEST_F(DataTest, TokensAreMadeAgainOnlyIfTextOrTokenizerDiffers) {
  const Tokenizer tokenizer = some_tokenizer();
  const Corpus corpus({file("a", "one two three")});
  const fs::path path = folder_ / "tokens.bin";
  const auto prepare = [&](const Corpus& from, const Tokenizer& by) {
    const TokenFile tokens = prepare_tokens(from, by, path, true);
    std::vector<int32_t> ids(static_cast<size_t>(tokens.size()));
    tokens.copy(0, ids);
    EXPECT_EQ(ids, encode_corpus(from, by, true));
    return fs::last_write_time(path);
  };
  prepare(corpus, tokenizer);
  const auto long_ago = fs::last_write_time(path) - std::chrono::hours(1);
  fs::last_write_time(path, long_ago);
  EXPECT_EQ(prepare(corpus, tokenizer), long_ago);  // kept

  EXPECT_NE(prepare(Corpus({file("b", "two")}), tokenizer), long_ago);
  fs::last_write_time(path, long_ago);
  EXPECT_NE(prepare(Corpus({file("b", "two")}), some_tokenizer(260)), long_ago);

  testing::flip_bit(path, read_bytes(path).size() - 1, 0);  // damaged
  fs::last_write_time(path, long_ago);
  EXPECT_NE(prepare(Corpus({file("b", "two")}), some_tokenizer(260)), long_ago);
}

}  // namespace
}  // namespace evo
