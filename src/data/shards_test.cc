#include "data/shards.h"

#include <numeric>

#include "base/testing.h"

namespace evo::data {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::flip_bit;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

constexpr uint64_t kTokenizer = 0xFEDCBA9876543210, kCorpus = 42;

/// Three shards of ten tokens, 0 ... 29, the last two of each held out.
class DataShards : public ::testing::Test {
 protected:
  DataShards() {
    index_ = {kTokenizer, kCorpus, 30, true, {}};
    for (int32_t i = 0; i < 3; ++i) add(i);
    index_.save(folder_.path());
  }
  void add(int32_t number) {
    ShardInfo info{"shard-" + std::to_string(number), 10, 2, 1, 0};
    std::vector<int32_t> ids(10);
    std::iota(ids.begin(), ids.end(), 10 * number);
    TokenWriter writer(folder_ / info.file, 30);
    writer.append(std::span(ids).first(8));
    writer.append_held_out(std::span(ids).last(2));
    info.checksum =
        writer.commit(kTokenizer, shard_fingerprint(kCorpus, static_cast<size_t>(number)));
    index_.shards.push_back(info);
  }
  [[nodiscard]] OpenedShards open(bool skip_bad = false) const {
    return open_shards(folder_.path(), ShardIndex::load(folder_.path()), {skip_bad, true});
  }
  /// The index with `from` replaced by `to` is refused, and --skip-bad-shards does not help.
  void expect_bad_index(std::string_view from, std::string_view to,
                        std::initializer_list<std::string_view> parts) const {
    const std::string good = read_bytes(folder_ / "index.json");
    std::string bad = good;
    const size_t place = bad.find(from);
    ASSERT_NE(place, std::string::npos) << from;
    bad.replace(place, from.size(), to);
    write_bytes(folder_ / "index.json", bad);
    expect_error([&] { (void)open(true); }, parts);
    write_bytes(folder_ / "index.json", good);
  }
  /// Shard 1 is refused, and can be left out.
  void expect_bad_shard(std::initializer_list<std::string_view> parts) const {
    expect_error([&] { (void)open(); }, parts);
    expect_error([&] { (void)open(); }, {"shard-1", "--skip-bad-shards"});
    const OpenedShards opened = open(true);
    EXPECT_EQ(opened.skipped, std::vector<std::string>{"shard-1"});
    ASSERT_EQ(opened.good.size(), 2u);
    EXPECT_EQ(opened.good.back().at(0), 20);
  }

  const TemporaryFolder folder_;
  ShardIndex index_;
};

TEST_F(DataShards, IndexSurvivesARoundTrip) {
  const ShardIndex loaded = ShardIndex::load(folder_.path());
  EXPECT_EQ(loaded.tokenizer_fingerprint, kTokenizer);
  EXPECT_EQ(loaded.source_fingerprint, kCorpus);
  EXPECT_EQ(loaded.vocab_size, 30);
  EXPECT_TRUE(loaded.complete);
  EXPECT_EQ(loaded.tokens(), 30);
  EXPECT_EQ(loaded.documents(), 3);
  EXPECT_EQ(loaded.fingerprint(), index_.fingerprint());
  ShardIndex other = index_;
  other.shards[2].checksum ^= 1;
  EXPECT_NE(other.fingerprint(), index_.fingerprint());
}

TEST_F(DataShards, AreOneArray) {
  OpenedShards opened = open();
  EXPECT_TRUE(opened.skipped.empty());
  std::vector<TokenSource> sources;
  sources.push_back({"all", 1, std::move(opened.good)});
  const TokenFile tokens("all", std::move(sources));
  EXPECT_EQ(tokens.held_out_begin(), 24);
  const std::vector<int32_t> expected = {0,  1,  2,  3,  4,  5,  6,  7,  10, 11,
                                         12, 13, 14, 15, 16, 17, 20, 21, 22, 23,
                                         24, 25, 26, 27, 8,  9,  18, 19, 28, 29};
  for (int64_t begin = 0; begin <= 30; ++begin) {
    for (int64_t end = begin; end <= 30; ++end) {
      std::vector<int32_t> found(static_cast<size_t>(end - begin));
      tokens.copy(begin, found);
      ASSERT_EQ(found, (std::vector<int32_t>{expected.begin() + begin, expected.begin() + end}));
    }
  }
}

/// What ranks compare, so that all of them leave out the same shards.
TEST_F(DataShards, FingerprintChangesWithShardsAndWeights) {
  const auto fingerprint = [&](double weight) {
    std::vector<TokenSource> sources;
    sources.push_back({"all", weight, open(true).good});
    return TokenFile("all", std::move(sources)).fingerprint();
  };
  const uint64_t all = fingerprint(1);
  EXPECT_EQ(fingerprint(1), all);
  EXPECT_NE(fingerprint(2), all);
  fs::remove(folder_ / "shard-1");
  EXPECT_NE(fingerprint(1), all);
}

/// <|endoftext|> at the end of a shard and at the beginning of the next one comes once, in each
/// part; parts of one shard may be empty.
TEST(DataShardsJoined, AreTheTokenFile) {
  const TemporaryFolder folder;
  const std::vector<std::vector<int32_t>> training = {{0, 1, 0}, {0}, {0, 2, 0}, {0, 3, 4, 0}};
  const std::vector<std::vector<int32_t>> held_out = {{}, {0, 5, 0}, {}, {0, 6, 0}};
  TokenSource source{"s", 1, {}};
  for (size_t i = 0; i < training.size(); ++i) {
    const fs::path path = folder / std::to_string(i);
    TokenWriter writer(path, 7);
    writer.append(training[i], i != 3);
    writer.append_held_out(held_out[i]);
    writer.commit(0, 0);
    source.shards.emplace_back(path);
  }
  std::vector<TokenSource> sources;
  sources.push_back(std::move(source));
  const TokenFile tokens("all", std::move(sources));
  std::vector<int32_t> ids(static_cast<size_t>(tokens.size()));
  tokens.copy(0, ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{0, 1, 0, 2, 0, 3, 4, 0, 0, 5, 0, 6, 0}));
  EXPECT_EQ(tokens.held_out_begin(), 8);
  EXPECT_TRUE(tokens.has_unlearnt());
  std::vector<uint8_t> learnt(ids.size());
  tokens.copy_learnt(0, learnt);
  EXPECT_EQ(learnt, (std::vector<uint8_t>{1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1}));
}

TEST_F(DataShards, DamageIsNamed) {
  const std::string good = read_bytes(folder_ / "shard-1");
  flip_bit(folder_ / "shard-1", good.size() - 3, 2);
  expect_bad_shard({"bad shard", "checksum", "expected", "damaged", "evo tokenizer shard"});
  write_bytes(folder_ / "shard-1", good.substr(0, good.size() - 8));
  expect_bad_shard({"need 24 bytes", "found 16"});
  write_bytes(folder_ / "shard-1", "");
  expect_bad_shard({"is empty"});
  fs::remove(folder_ / "shard-1");
  expect_bad_shard({"No such file"});
  fs::create_directory(folder_ / "shard-1");
  expect_bad_shard({"is a folder"});
}

/// Files that are in order, but not what the index says.
TEST_F(DataShards, OtherShardsAreNamed) {
  const std::string good = read_bytes(folder_ / "shard-1");
  fs::copy(folder_ / "shard-2", folder_ / "shard-1", fs::copy_options::overwrite_existing);
  expect_bad_shard({"its text is", "index.json says"});
  const auto rewrite = [&](uint64_t tokenizer, int32_t first, size_t held_out) {
    TokenWriter writer(folder_ / "shard-1", 100);
    std::vector<int32_t> ids(10);
    std::iota(ids.begin(), ids.end(), first);
    writer.append(std::span(ids).first(10 - held_out));
    writer.append_held_out(std::span(ids).last(held_out));
    writer.commit(tokenizer, shard_fingerprint(kCorpus, 1));
  };
  rewrite(kTokenizer, 11, 2);
  expect_bad_shard({"its checksum is", "index.json says"});
  rewrite(kTokenizer, 10, 3);
  expect_bad_shard({"held-out tokens: 3", "index.json says 2"});
  rewrite(1, 10, 2);
  expect_bad_shard({"its tokenizer is 0000000000000001", "says fedcba9876543210"});
  write_bytes(folder_ / "shard-1", good);
  EXPECT_EQ(open().good.size(), 3u);
}

TEST_F(DataShards, AllBad) {
  for (const char* name : {"shard-0", "shard-1", "shard-2"}) fs::remove(folder_ / name);
  expect_error([&] { (void)open(true); }, {folder_.path().string(), "no shard that can be used"});
}

TEST_F(DataShards, IndicesThatLie) {
  expect_bad_index("\"shard-1\"", "\"../shard-1\"",
                   {"index.json", "beside the index", "../shard-1"});
  expect_bad_index("\"shard-1\"", "\"/etc/passwd\"", {"beside the index", "/etc/passwd"});
  expect_bad_index("\"shard-1\"", "\"..\"", {"beside the index", "\"..\""});
  expect_bad_index("\"shard-1\"", "\"\"", {"beside the index"});
  expect_bad_index("\"shard-1\"", "\"shard\\u0000\"", {"beside the index"});
  expect_bad_index("\"shard-1\"", "\"shard-0\"", {"shard-0 comes twice"});
  expect_bad_index("\"shard-1\"", "7", {"\"file\"", "a text"});
  expect_bad_index("\"held_out_tokens\": 2", "\"held_out_tokens\": 11", {"from 0 to 10", "11"});
  expect_bad_index("\"tokens\": 30", "\"tokens\": 31", {"31 tokens", "30"});
  expect_bad_index("\"tokens\": 10", "\"tokens\": -1", {"\"tokens\"", "found -1"});
  expect_bad_index("\"tokens\": 10", "\"tokens\": 9223372036854775807", {"too large"});
  expect_bad_index("\"tokenizer\": \"f", "\"tokenizer\": \"x", {"16 hexadecimal digits"});
  expect_bad_index("\"version\": 1", "\"version\": 2", {"version 2", "expected 1"});
  expect_bad_index("\"vocab_size\": 30", "\"vocab_size\": 0", {"vocab_size", "found 0"});
  expect_bad_index("{", "[", {"index.json"});
  expect_bad_index("\"shards\"", "\"shard\"", {"\"shards\" is missing"});
}

/// Consistent lies of the index about one shard are that shard's fault.
TEST_F(DataShards, VocabularyThatIsTooSmall) {
  expect_bad_index("\"vocab_size\": 30", "\"vocab_size\": 7", {"no shard that can be used"});
}

}  // namespace
}  // namespace evo::data
