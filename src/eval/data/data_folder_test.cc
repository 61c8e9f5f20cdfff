#include "eval/data/data_folder.h"

#include <zip.h>
#include <zlib.h>

#include "base/testing.h"

namespace evo::eval {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

void write_file(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  write_bytes(path, text);
}

void write_gzip(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  const gzFile file = gzopen(path.c_str(), "wb");
  EVO_CHECK(gzwrite(file, text.data(), static_cast<unsigned>(text.size())) ==
            static_cast<int>(text.size()));
  EVO_CHECK(gzclose(file) == Z_OK);
}

/// Members are stored as they are, so that tests can damage them.
void write_zip(const fs::path& path, const std::map<std::string, std::string>& members) {
  fs::create_directories(path.parent_path());
  int code = 0;
  zip_t* const archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  EVO_CHECK(archive != nullptr);
  for (const auto& [name, text] : members) {
    zip_source_t* const source = zip_source_buffer(archive, text.data(), text.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    EVO_CHECK(index >= 0);
    EVO_CHECK(
        zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0) == 0);
  }
  EVO_CHECK(zip_close(archive) == 0);
}

class DataFolderTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string text_of(const std::vector<std::string>& names,
                                    std::string_view folder = "") const {
    return DataFolder(root_ / folder).read(names).text;
  }

  TemporaryFolder root_;
};

TEST_F(DataFolderTest, FindsByTheEndOfThePath) {
  write_file(root_ / "a/gsm8k/test.jsonl", "here");
  write_file(root_ / "a/other_gsm8k/test.jsonl", "not here");
  EXPECT_EQ(text_of({"gsm8k/test.jsonl"}), "here");
  EXPECT_EQ(text_of({"gsm8k/test.jsonl"}, "a/gsm8k"), "here");  // the root's own name counts
  EXPECT_FALSE(DataFolder(root_.path()).find({"sm8k/test.jsonl"}));
  const DataFile file = DataFolder(root_.path()).read({"gsm8k/test.jsonl"});
  EXPECT_EQ(file.name, (fs::canonical(root_.path()) / "a/gsm8k/test.jsonl").string());
}

TEST_F(DataFolderTest, OrderOfCandidatesThenDepthThenName) {
  write_file(root_ / "z/t.txt", "shallow");
  write_file(root_ / "b/c/t.txt", "deep");
  write_file(root_ / "y/t.txt", "first by name");
  write_file(root_ / "b/c/u.txt", "first candidate");
  EXPECT_EQ(text_of({"t.txt"}), "first by name");
  EXPECT_EQ(text_of({"u.txt", "t.txt"}), "first candidate");
  EXPECT_EQ(text_of({"v.txt", "t.txt"}), "first by name");
}

TEST_F(DataFolderTest, CompressedFiles) {
  write_gzip(root_ / "d/a.jsonl.gz", "unpacked");
  write_gzip(root_ / "d/b.jsonl.gz", "compressed");
  write_file(root_ / "d/b.jsonl", "plain goes first");
  EXPECT_EQ(text_of({"d/a.jsonl"}), "unpacked");
  EXPECT_EQ(text_of({"d/b.jsonl"}), "plain goes first");
}

TEST_F(DataFolderTest, MembersOfArchives) {
  write_zip(root_ / "exam/exam.zip", {{"data/dev/a.csv", "member"}, {"data/", ""}, {"e.csv", ""}});
  EXPECT_EQ(text_of({"exam/data/dev/a.csv"}), "member");
  EXPECT_EQ(text_of({"dev/a.csv"}), "member");
  EXPECT_EQ(text_of({"exam/e.csv"}), "");
  const DataFile file = DataFolder(root_.path()).read({"dev/a.csv"});
  EXPECT_TRUE(file.name.ends_with("exam/exam.zip:data/dev/a.csv")) << file.name;
}

TEST_F(DataFolderTest, DamagedMember) {
  write_zip(root_ / "e.zip", {{"a.csv", "some text that will change"}});
  const size_t place = read_bytes(root_ / "e.zip").find("some text");
  testing::flip_bit(root_ / "e.zip", place, 0);
  expect_error([&] { static_cast<void>(text_of({"a.csv"})); }, {"a.csv", "e.zip", "CRC"});
}

TEST_F(DataFolderTest, ArchiveThatIsNoneIsNamedWhereItMatters) {
  write_file(root_ / "broken.zip", "no archive at all");
  write_file(root_ / "t.txt", "text");
  EXPECT_EQ(text_of({"t.txt"}), "text");
  expect_error<MissingData>([&] { static_cast<void>(text_of({"u.txt"})); },
                            {"u.txt", "broken.zip"});
}

TEST_F(DataFolderTest, ByteOrderMarkGoes) {
  write_file(root_ / "t.csv", "\xEF\xBB\xBFx");
  EXPECT_EQ(text_of({"t.csv"}), "x");
}

TEST_F(DataFolderTest, HiddenAndVeryDeepFilesDoNotCount) {
  write_file(root_ / ".cache/t.txt", "hidden");
  write_file(root_ / "1/2/3/4/5/6/7/t.txt", "too deep");
  write_file(root_ / "1/2/3/4/5/6/u.txt", "deep");
  EXPECT_FALSE(DataFolder(root_.path()).find({"t.txt"}));
  EXPECT_EQ(text_of({"u.txt"}), "deep");
}

TEST_F(DataFolderTest, LinksToFoldersAreFollowedAndMayGoRound) {
  write_file(root_ / "real/d/t.txt", "linked");
  fs::create_directory_symlink(root_ / "real", root_ / "link");
  fs::create_directory_symlink(root_.path(), root_ / "real/round");
  EXPECT_EQ(text_of({"link/d/t.txt"}), "linked");
}

TEST_F(DataFolderTest, MissingFileOrFolder) {
  expect_error<MissingData>(
      [&] {
        static_cast<void>(text_of({"x/a.jsonl", "x/a.csv"}));
      },
      {root_.path().filename().string(), "x/a.jsonl or x/a.csv"});
  expect_error([&] { DataFolder(root_ / "none"); }, {"no folder", "none"});
}

}  // namespace
}  // namespace evo::eval
