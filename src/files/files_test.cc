#include "files/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/testing.h"

namespace evo::files {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;
using Names = std::vector<std::string>;

TEST(MappedFile, ReadsAndMoves) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "abc");
  MappedFile file(folder / "a");
  MappedFile moved = std::move(file);
  ASSERT_EQ(moved.bytes().size(), 3u);
  EXPECT_EQ(static_cast<char>(moved.bytes()[2]), 'c');
  write_bytes(folder / "b", "xy");
  moved = MappedFile(folder / "b");
  EXPECT_EQ(static_cast<char>(moved.bytes()[0]), 'x');
}

TEST(MappedFile, NamesTheFault) {
  const TemporaryFolder folder;
  write_bytes(folder / "empty", "");
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  const int writer = open((folder / "fifo").c_str(), O_RDWR);  // so that opening does not wait
  ASSERT_GE(writer, 0);
  expect_error([&] { MappedFile{folder / "none"}; }, {"none", "No such file"});
  expect_error([&] { MappedFile{folder.path()}; }, {folder.path().string(), "is a folder"});
  expect_error([&] { MappedFile{folder / "empty"}; }, {"empty", "is empty"});
  expect_error([&] { MappedFile{folder / "fifo"}; }, {"fifo", "not a regular file"});
  close(writer);
}

TEST(ReadFile, LimitsAndFaults) {
  const TemporaryFolder folder;
  const std::string content(200'000, 'x');
  write_bytes(folder / "a", content);
  EXPECT_EQ(read_file(folder / "a", 200'000), content);
  expect_error([&] { (void)read_file(folder / "a", 199'999); }, {"a", "at most 199999 bytes"});
  expect_error([&] { (void)read_file(folder.path(), 10); }, {"is a folder"});
  write_bytes(folder / "empty", "");
  EXPECT_EQ(read_file(folder / "empty", 10), "");
}

TEST(AtomicFile, WritesAndReplaces) {
  const TemporaryFolder folder;
  write_atomically(folder / "a", "one");
  write_atomically(folder / "a", [](AtomicFile& file) {
    file.write("tw");
    file.write("o");
  });
  EXPECT_EQ(read_bytes(folder / "a"), "two");
  EXPECT_EQ(folder.names(), Names{"a"});
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "old");
  EXPECT_THROW(write_atomically(folder / "a",
                                [](AtomicFile& file) {
                                  file.write("new");
                                  throw Error("stop");
                                }),
               Error);
  EXPECT_EQ(read_bytes(folder / "a"), "old");
  EXPECT_EQ(folder.names(), Names{"a"});
}

TEST(AtomicFile, TheNameShowsOnlyTheWholeFile) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a");
  file.write("text");
  EXPECT_FALSE(fs::exists(folder / "a"));
  file.commit();
  EXPECT_EQ(read_bytes(folder / "a"), "text");
}

TEST(AtomicFile, FollowsLinksAndSparesDevices) {
  const TemporaryFolder folder;
  write_bytes(folder / "real", "old");
  fs::create_symlink("real", folder / "link");
  write_atomically(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_bytes(folder / "real"), "new");
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  expect_error([&] { write_atomically(folder / "fifo", "x"); }, {"fifo", "not a file"});
  expect_error([&] { write_atomically(folder.path(), "x"); }, {"is a folder"});
  expect_error([&] { write_atomically(folder / "none/a", "x"); }, {"none/a", "No such file"});
}

/// 1 MB over "old" where only less fits.
void expect_refusal_of_large_file(const fs::path& path, std::string_view reason) {
  const std::string large(1 << 20, 'x');
  testing::expect_refusal_keeps_old(path, reason, [&] { write_atomically(path, large); });
}

TEST(AtomicFile, FileSizeLimit) {
  const TemporaryFolder folder;
  const testing::FileSizeLimit limit(1 << 16);
  expect_refusal_of_large_file(folder / "a", "File too large");
}

TEST(AtomicFile, FullDisk) {
  const TemporaryFolder folder;
  const testing::SmallDisk disk(folder.path());
  if (!disk.mounted()) {
    GTEST_SKIP() << "no right to mount a small disk: " << errno_message(errno)
                 << "; AtomicFile.FileSizeLimit covers failing writes";
  }
  expect_refusal_of_large_file(folder / "a", "No space left");
}

TEST(FolderLock, SecondHolderIsTurnedAway) {
  const TemporaryFolder folder;
  {
    const FolderLock lock(folder / "run");
    expect_error([&] { FolderLock{folder / "run"}; },
                 {"run", "in use by process " + std::to_string(getpid())});
    const FolderLock other(folder / "other");
  }
  const FolderLock again(folder / "run");
}

TEST(FolderLock, GoesWithItsProcess) {
  const TemporaryFolder folder;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // takes the lock, says so, and waits to be killed
    const FolderLock lock(folder.path());
    const char byte = 1;
    if (write(ends[1], &byte, 1) == 1) pause();
    _exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  expect_error([&] { FolderLock{folder.path()}; }, {"process " + std::to_string(child)});
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const FolderLock lock(folder.path());
  close(ends[0]);
  close(ends[1]);
}

TEST(Checksum, EverySingleBitCounts) {
  std::vector<std::byte> bytes(37, std::byte{0});
  const uint64_t before = checksum64(bytes);
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    bytes[i / 8] ^= std::byte{1} << (i % 8);
    EXPECT_NE(checksum64(bytes), before) << "bit " << i;
    bytes[i / 8] ^= std::byte{1} << (i % 8);
  }
  EXPECT_EQ(checksum64(bytes), before);
  EXPECT_NE(checksum64(std::span(bytes).first(36)), before);  // zeros at the end count
  // The top bits of two words, which a plain multiplicative hash lets cancel.
  bytes[7] ^= std::byte{0x80};
  bytes[15] ^= std::byte{0x80};
  EXPECT_NE(checksum64(bytes), before);
}

}  // namespace
}  // namespace evo::files
