#include "files/text_writer.h"

#include "base/random.h"
#include "base/testing.h"

namespace evo::files {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

constexpr int64_t kMostBytes = 1 << 24;

/// Lines that do not compress well: hexadecimal digits at random.
std::string random_lines(size_t count) {
  Random random(3, 1);
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += fmt::format("{:08x}\n", random.below(uint32_t{1} << 31));
  }
  return text;
}

void write_in_pieces(const std::filesystem::path& path, std::string_view text, size_t piece) {
  TextWriter writer(path);
  for (size_t at = 0; at < text.size(); at += piece) writer.write(text.substr(at, piece));
  writer.commit();
}

TEST(TextWriter, WhatIsReadIsWhatWasWritten) {
  const TemporaryFolder folder;
  for (const char* name : {"plain", "packed.zst"}) {
    SCOPED_TRACE(name);
    for (const size_t lines : {0, 1, 20'000}) {
      const std::string text = random_lines(lines);
      for (const size_t piece : {7, 9'000, 1 << 20}) {
        write_in_pieces(folder / name, text, piece);
        EXPECT_EQ(read_text(folder / name, kMostBytes), text) << lines << " lines by " << piece;
      }
    }
  }
  EXPECT_EQ(read_bytes(folder / "plain"), random_lines(20'000));
  // A hexadecimal digit holds half a byte; nine bytes with the line's end.
  EXPECT_LT(read_bytes(folder / "packed.zst").size(), read_bytes(folder / "plain").size() * 2 / 3);
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"packed.zst", "plain"}));
}

TEST(TextWriter, TextReachesTheDiskWhileTheWorkGoesOn) {
  const TemporaryFolder folder;
  TextWriter writer(folder / "a.zst");
  const std::string text = random_lines(4'000);  // 36 KB, at least half of that compressed
  for (size_t at = 0; at < text.size(); at += 100) writer.write(text.substr(at, 100));
  ASSERT_EQ(folder.names().size(), 1u);  // under its temporary name
  EXPECT_GT(read_bytes(folder / folder.names()[0]).size(), 14'000u) << "the first 32 KB";
}

TEST(TextWriter, WithoutCommitNothingChanges) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.zst", "old");
  { TextWriter(folder / "a.zst").write("new"); }
  EXPECT_EQ(read_bytes(folder / "a.zst"), "old");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a.zst"});
}

/// Damage never passes for another text: the checksum tells.
TEST(TextWriter, EveryDamagedBitIsNoticed) {
  const TemporaryFolder folder;
  const auto file = folder / "a.zst";
  const std::string text = random_lines(4);
  write_in_pieces(file, text, 20);
  const std::string packed = read_bytes(file);
  size_t refused = 0;
  for (size_t bit = 0; bit < packed.size() * 8; ++bit) {
    std::string damaged = packed;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    write_bytes(file, damaged);
    try {
      EXPECT_EQ(read_text(file, kMostBytes), text) << "bit " << bit;
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find(file.string()), std::string_view::npos);
      ++refused;
    }
  }
  // In the frame's header are bits that change nothing: unused ones, a larger window.
  EXPECT_GT(refused, packed.size() * 8 - 16);
}

TEST(TextWriter, AFullDiskShowsBeforeTheEnd) {
  const TemporaryFolder folder;
  const testing::SmallDisk disk(folder.path());
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a small disk; see the next test";
  testing::expect_refusal_keeps_old(folder / "a.zst", "No space left", [&] {
    TextWriter writer(folder / "a.zst");
    writer.write(random_lines(40'000));
    ADD_FAILURE() << "written without an Error";
  });
}

TEST(TextWriter, FileSizeLimit) {
  const TemporaryFolder folder;
  const testing::FileSizeLimit limit(1 << 16);
  for (const char* name : {"a.zst", "a.txt"}) {
    const TemporaryFolder own;
    testing::expect_refusal_keeps_old(own / name, "File too large", [&] {
      write_in_pieces(own / name, random_lines(40'000), 999);
    });
  }
}

TEST(TextWriter, SaysAtOnceThatItCannotWrite) {
  const TemporaryFolder folder;
  expect_error([&] { TextWriter{folder / "none/a.zst"}; }, {"none/a.zst", "No such file"});
}

}  // namespace
}  // namespace evo::files
