#include "io/tokens.h"

#include <vector>

#include "io/testing.h"

namespace evo {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

constexpr size_t kHeaderBytes = 64;

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
    EXPECT_EQ(std::filesystem::file_size(folder / "t"), kHeaderBytes + 10u * (narrow ? 2 : 4));
    const TokenFile file(folder / "t");
    ASSERT_EQ(file.size(), 10);
    EXPECT_EQ(file.max_id(), first + 9);
    EXPECT_EQ(file.tokenizer_fingerprint(), 11u);
    EXPECT_EQ(file.source_fingerprint(), 22u);
    EXPECT_EQ(file.at(3), tokens[3]);
    std::vector<int32_t> back(10);
    file.copy(0, back);
    EXPECT_EQ(back, tokens);
    file.copy(7, std::span(back).first(3));
    EXPECT_EQ(back[2], tokens[9]);
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
  version[8] = 2;
  refused("", {"is empty"});
  refused("short", {"5 bytes", "too few"});
  refused(std::string(100, 'x'), {"not a token file"});
  refused(version, {"version 2", "expected 1"});
  refused(good + "x", {"7 tokens of 2 bytes", "need 14", "found 15"});
  std::string flipped = good;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  refused(flipped, {"checksum", "damaged"});
  expect_error([&] { TokenFile{folder / "none"}; }, {"No such file"});
}

}  // namespace
}  // namespace evo
