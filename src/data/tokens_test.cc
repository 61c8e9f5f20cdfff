#include "data/tokens.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "base/testing.h"

namespace evo::data {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

constexpr size_t kHeaderBytes = 88;

size_t padded(size_t bytes) {
  return (bytes + 7) / 8 * 8;
}

std::vector<int32_t> ids(size_t count, int32_t first) {
  std::vector<int32_t> result(count);
  for (size_t i = 0; i < count; ++i) result[i] = first + static_cast<int32_t>(i);
  return result;
}

TEST(Tokens, RoundTripInTwoAndFourBytes) {
  const TemporaryFolder folder;
  for (const int32_t first : {0, 65535 - 9, 65535 - 8, 2147483647 - 9}) {
    const auto tokens = ids(10, first);
    write_tokens(folder / "t", tokens, 11, 22);
    const bool narrow = first + 9 <= 65535;
    EXPECT_EQ(std::filesystem::file_size(folder / "t"),
              kHeaderBytes + padded(10u * (narrow ? 2 : 4)));
    const TokenFile file(folder / "t");
    ASSERT_EQ(file.size(), 10);
    const TokenShard shard(folder / "t");
    EXPECT_EQ(shard.max_id(), first + 9);
    EXPECT_EQ(shard.tokenizer_fingerprint(), 11u);
    EXPECT_EQ(shard.source_fingerprint(), 22u);
    EXPECT_EQ(file.at(3), tokens[3]);
    std::vector<int32_t> back(10);
    file.copy(0, back);
    EXPECT_EQ(back, tokens);
    file.copy(7, std::span(back).first(3));
    EXPECT_EQ(back[2], tokens[9]);
  }
}

/// Pieces of both parts in turn, more than are written at a time; the held-out ones come last.
TEST(Tokens, PartsAndUnlearntRanges) {
  const TemporaryFolder folder;
  constexpr int32_t kVocabulary = 70'000;
  std::vector<int32_t> expected, held_out;
  std::vector<uint8_t> learnt, held_out_learnt;
  TokenWriter writer(folder / "t", kVocabulary);
  for (int32_t i = 0; i < 2'000; ++i) {
    const auto piece = ids(static_cast<size_t>(i % 700), i);
    const bool learn = i % 3 != 0;
    auto [tokens, flags] =
        i % 5 == 0 ? std::tie(held_out, held_out_learnt) : std::tie(expected, learnt);
    if (i % 5 == 0) {
      writer.append_held_out(piece, learn);
    } else {
      writer.append(piece, learn);
    }
    tokens.insert(tokens.end(), piece.begin(), piece.end());
    flags.insert(flags.end(), piece.size(), learn ? 1 : 0);
  }
  writer.commit(1, 2);
  const TokenFile file(folder / "t");
  EXPECT_EQ(file.held_out_begin(), std::ssize(expected));
  expected.insert(expected.end(), held_out.begin(), held_out.end());
  learnt.insert(learnt.end(), held_out_learnt.begin(), held_out_learnt.end());
  ASSERT_EQ(file.size(), std::ssize(expected));
  std::vector<int32_t> tokens(expected.size());
  file.copy(0, tokens);
  EXPECT_TRUE(tokens == expected);
  EXPECT_TRUE(file.has_unlearnt());
  std::vector<uint8_t> flags(1000);
  for (int64_t begin = 0; begin + 1000 <= file.size(); begin += 997) {
    file.copy_learnt(begin, flags);
    ASSERT_TRUE(std::equal(flags.begin(), flags.end(), learnt.begin() + begin)) << begin;
  }
}

TEST(Tokens, NoTokens) {
  const TemporaryFolder folder;
  write_tokens(folder / "t", {}, 0, 0);
  const TokenFile file(folder / "t");
  EXPECT_EQ(file.size(), 0);
  file.check_vocabulary(1);
}

TEST(Tokens, VocabularyIsChecked) {
  const TemporaryFolder folder;
  write_tokens(folder / "t", ids(10, 0), 0, 0);
  const TokenFile file(folder / "t");
  file.check_vocabulary(10);
  expect_error([&] { file.check_vocabulary(9); }, {"/t", "id 9", "only 9", "another tokenizer"});
}

TEST(TokensDeathTest, OutOfRangeIsAProgrammersFault) {
  const TemporaryFolder folder;
  write_tokens(folder / "t", ids(10, 0), 0, 0);
  const TokenFile file(folder / "t");
  std::vector<int32_t> out(3);
  EXPECT_DEATH(file.copy(8, out), "");
  EXPECT_DEATH((void)file.at(-1), "");
}

TEST(Tokens, EveryTruncationAndFlipIsNoticed) {
  const TemporaryFolder folder;
  write_tokens(folder / "good", ids(7, 0), 1, 2);  // 14 bytes: not a multiple of 8
  const std::string good = testing::read_bytes(folder / "good");
  for (size_t i = 0; i < good.size(); ++i) {
    testing::write_bytes(folder / "bad", good.substr(0, i));
    expect_error([&] { TokenFile{folder / "bad"}; }, {"bad"});
    testing::write_bytes(folder / "bad", good);
    testing::flip_bit(folder / "bad", i, static_cast<int>(i % 8));
    expect_error([&] { TokenFile{folder / "bad"}; }, {"bad"});
  }
}

TEST(Tokens, FaultsAreNamed) {
  const TemporaryFolder folder;
  write_tokens(folder / "good", ids(7, 0), 1, 2);
  const std::string good = testing::read_bytes(folder / "good");
  const auto refused = [&](const std::string& bytes,
                           std::initializer_list<std::string_view> parts) {
    testing::write_bytes(folder / "bad", bytes);
    expect_error([&] { TokenFile{folder / "bad"}; }, parts);
  };
  std::string version = good;
  version[8] = 1;
  refused("", {"is empty"});
  refused("short", {"5 bytes", "too few"});
  refused(std::string(100, 'x'), {"not a token file"});
  refused(version, {"version 1", "expected 2"});
  refused(good + "x", {"7 tokens of 2 bytes", "need 16", "found 17"});
  std::string flipped = good;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  refused(flipped, {"checksum", "damaged"});
  expect_error([&] { TokenFile{folder / "none"}; }, {"No such file"});
}

}  // namespace
}  // namespace evo::data
