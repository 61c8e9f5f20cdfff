#include "train/examples/data_shards.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/testing.h"
#include "base/threads/parallel.h"
#include "tokenizer/bpe/train_bpe.h"
#include "train/examples/data.h"

namespace evo::train {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

class Sharding : public ::testing::Test {
 protected:
  Sharding() {
    for (int i = 0; i < 400; ++i) {
      text_ += "one two " + std::to_string(i * 7919 % 1000) + "\n<|endoftext|>\n";
    }
    write_bytes(folder_ / "text", text_);
    corpus_.files = {(folder_ / "text").string()};
    corpus_.held_out = 0.1;
    corpus_.quiet = true;
  }
  static tokenizer::Tokenizer trained() {
    const std::string_view texts[] = {"one two one two one two three three"};
    tokenizer::BpeTrainingOptions options;
    options.vocab_size = 262;
    options.quiet = true;
    return tokenizer::train_bpe(texts, options);
  }
  ShardingSummary make(int64_t shard_tokens = 500, std::string_view name = "shards") const {
    return make_shards(corpus_, tokenizer_, folder_ / name, shard_tokens);
  }
  data::TokenFile open(std::string_view name = "shards") const {
    std::vector<data::TokenSource> sources(1);
    sources.front().shards =
        data::open_shards(folder_ / name, data::ShardIndex::load(folder_ / name), {false, true})
            .good;
    return {std::string(name), std::move(sources)};
  }
  /// Everything in the folder, by name.
  std::map<std::string, std::string> bytes(std::string_view name = "shards") const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_ / name)) {
      const std::string file = entry.path().filename().string();
      if (file != ".lock") all[file] = read_bytes(entry.path());
    }
    return all;
  }
  static std::vector<int32_t> all_tokens(const data::TokenFile& tokens) {
    std::vector<int32_t> ids(static_cast<size_t>(tokens.size()));
    tokens.copy(0, ids);
    return ids;
  }

  const TemporaryFolder folder_;
  const tokenizer::Tokenizer tokenizer_ = trained();
  std::string text_;
  CorpusOptions corpus_;
};

TEST_F(Sharding, ShardsAreTheTokenFile) {
  const data::ShardIndex index = make().index;
  EXPECT_GT(index.shards.size(), 5u);
  EXPECT_TRUE(index.complete);
  EXPECT_EQ(index.documents(), 400);
  for (size_t i = 0; i + 1 < index.shards.size(); ++i) {
    EXPECT_GE(index.shards[i].tokens, 500);
    EXPECT_LT(index.shards[i].tokens, 520);  // a document has less than 20
  }
  const data::TokenFile whole = prepare_tokens(corpus_, tokenizer_, folder_ / "tokens.bin");
  const data::TokenFile joined = open();
  EXPECT_EQ(joined.held_out_begin(), whole.held_out_begin());
  EXPECT_EQ(all_tokens(joined), all_tokens(whole));
  EXPECT_EQ(tokenizer::Tokenizer::load((folder_ / "shards").string()).fingerprint(),
            tokenizer_.fingerprint());
}

/// Files are read side by side, in an order that does not depend on threads; all of them are there.
TEST_F(Sharding, ManyFilesByAnyNumberOfThreads) {
  corpus_.files.clear();
  corpus_.held_out = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string name = "part" + std::to_string(i);
    write_bytes(folder_ / name, "one " + std::to_string(i) + "\n<|endoftext|>\ntwo");
    corpus_.files.push_back((folder_ / name).string());
  }
  const int before = threads();
  set_threads(1);
  EXPECT_EQ(make(100, "one").index.documents(), 80);
  set_threads(3);
  (void)make(100, "three");
  set_threads(before);
  EXPECT_EQ(bytes("one"), bytes("three"));
  auto found = all_tokens(open("one")), expected = encode_corpus(corpus_, tokenizer_);
  std::ranges::sort(found);
  std::ranges::sort(expected);
  EXPECT_EQ(found, expected);
}

TEST_F(Sharding, GoesOnWhereItStopped) {
  const size_t count = make(500, "straight").index.shards.size();
  const auto straight = bytes("straight");
  for (const size_t done : {size_t{0}, size_t{1}, count / 2, count - 1, count}) {
    SCOPED_TRACE(done);
    fs::remove_all(folder_ / "shards");
    fs::copy(folder_ / "straight", folder_ / "shards");
    data::ShardIndex index = data::ShardIndex::load(folder_ / "shards");
    for (size_t i = done; i < count; ++i) fs::remove(folder_ / "shards" / index.shards[i].file);
    index.shards.resize(done);
    index.complete = false;
    index.save(folder_ / "shards");
    write_bytes(folder_ / "shards" / ".shard-00001.tokens.1-1.tmp", "of a killed process");
    EXPECT_EQ(make().kept, done);
    EXPECT_EQ(bytes(), straight);
  }
  // A complete one is left alone.
  const auto long_ago = fs::last_write_time(folder_ / "shards/index.json") - std::chrono::hours(1);
  fs::last_write_time(folder_ / "shards/index.json", long_ago);
  EXPECT_EQ(make().kept, count);
  EXPECT_EQ(fs::last_write_time(folder_ / "shards/index.json"), long_ago);
}

TEST_F(Sharding, DamagedShardsAreMadeAgain) {
  const size_t count = make().index.shards.size();
  const auto straight = bytes();
  testing::flip_bit(folder_ / "shards/shard-00001.tokens", 200, 1);
  testing::flip_bit(folder_ / "shards/shard-00002.tokens", 3, 1);
  fs::remove(folder_ / "shards" / fmt::format("shard-{:05}.tokens", count - 1));
  EXPECT_EQ(make().kept, count - 3);
  EXPECT_EQ(bytes(), straight);
}

TEST_F(Sharding, OtherShardsAreNotTouched) {
  (void)make();
  const auto before = bytes();
  const auto refused = [&](const CorpusOptions& corpus, const tokenizer::Tokenizer& tokenizer,
                           int64_t size) {
    expect_error([&] { (void)make_shards(corpus, tokenizer, folder_ / "shards", size); },
                 {"other texts", "another --out"});
    EXPECT_EQ(bytes(), before);
  };
  refused(corpus_, tokenizer_, 501);
  CorpusOptions other = corpus_;
  other.held_out = 0.2;
  refused(other, tokenizer_, 500);
  const std::pair<int32_t, int32_t> merge[] = {{1, 2}};
  refused(corpus_, tokenizer::Tokenizer::from_merges(merge), 500);
  write_bytes(folder_ / "text", text_ + "more");
  refused(corpus_, tokenizer_, 500);
}

TEST_F(Sharding, FolderInUse) {
  const files::FolderLock lock(folder_ / "shards");
  expect_error([&] { (void)make(); }, {"shards", "in use by process"});
}

TEST_F(Sharding, NothingIsMadeOfNothing) {
  corpus_.files.push_back((folder_ / "none").string());
  expect_error([&] { (void)make(); }, {"none", "No such file"});
  EXPECT_FALSE(fs::exists(folder_ / "shards"));
}

/// The last shard does not fit: the others are there, and nothing else is.
TEST_F(Sharding, FullDiskLosesNothing) {
  for (int i = 0; i < 50'000; ++i) text_ += "three ";  // one document, which is one shard
  write_bytes(folder_ / "text", text_);
  corpus_.held_out = 0;
  const size_t count = make(500, "straight").index.shards.size();
  ASSERT_GT(fs::file_size(folder_ / "straight" / fmt::format("shard-{:05}.tokens", count - 1)),
            100'000u);
  {
    const testing::FileSizeLimit limit(100'000);  // tokenizer and index are smaller
    expect_error([&] { (void)make(); }, {"shards", "File too large", "free on that disk"});
  }
  for (const auto& [name, content] : bytes()) {
    EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
  }
  EXPECT_FALSE(data::ShardIndex::load(folder_ / "shards").complete);
  EXPECT_EQ(make().kept, count - 1);
  EXPECT_EQ(bytes(), bytes("straight"));
}

}  // namespace
}  // namespace evo::train
