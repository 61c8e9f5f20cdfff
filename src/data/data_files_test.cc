#include "data/data_files.h"

#include "base/testing.h"
#include "files/text_writer.h"

namespace evo::data {
namespace {

using namespace std::string_view_literals;
using testing::expect_error;
using testing::TemporaryFolder;
using testing::write_bytes;

TEST(ForeignFormat, IsNamedWithWhatToDo) {
  struct Case {
    const char* name;
    std::string head;
    std::string_view what, advice;
  };
  std::string tar(512, 'x');
  tar.replace(257, 5, "ustar");
  std::string wide;  // UTF-16 without a mark
  for (const char c : "Once upon a time"sv) (wide += c) += '\0';
  const Case cases[] = {
      {"a.txt", std::string("PK\3\4....", 8), "zip", "unpack"},
      {"a.txt", tar, "tar", "unpack"},
      {"a.parquet", "PAR1", "parquet", "pandas.read_parquet('a.parquet')"},
      {"a", "%PDF-1.7", "PDF", "pdftotext a"},
      {"a", "\x89PNG\r\n", "picture", "no text"},
      {"a", "SQLite format 3", "SQLite", "JSON lines"},
      {"a", "EVOTOKEN", "token file", "give the text"},
      {"a", std::string("\x10\0\0\0\0\0\0\0{\"a\": 1}       ", 24), "safetensors", "numbers"},
      {"a", std::string("\xFF\xFEO\0n\0", 6), "UTF-16", "iconv -f UTF-16 -t UTF-8 a"},
      {"a", std::string("\xFE\xFF\0O\0n", 6), "UTF-16", "iconv"},
      {"a", std::string("\xFF\xFE\0\0O\0\0\0", 8), "UTF-32", "iconv"},
      {"a", wide, "UTF-16LE", "iconv"},
      {"a.csv", "text,label\nOnce,1\n", "csv", "csv.DictReader(open('a.csv'))"},
      {"a.tsv.gz", "text\tlabel\n", "tsv", "--text-field"},
      {"a.jsonl", "[{\"text\": \"x\"}]", "JSON array", "jq -c '.[]' a.jsonl"},
      {"a.json", " [1, 2]", "JSON array", "jq"},
      {"a.txt", "[\n  {\n    \"text\": \"x\"\n  }\n]", "JSON array", "jq"},
      {"a.json", "{\n  \"text\": \"x\"\n}", "JSON document", "one per line"}};
  for (const Case& c : cases) {
    const std::string fault = foreign_format(c.name, c.head);
    for (const std::string_view part : {std::string_view(c.name), c.what, c.advice}) {
      EXPECT_NE(fault.find(part), std::string::npos) << c.name << ", " << c.what << ": " << fault;
    }
  }
}

TEST(ForeignFormat, TextsAreNone) {
  for (const char* text :
       {"Once upon a time", "", "[Chorus]\nLa la", "a,b,c\n1,2,3\n", "{x}", "[\"Hello\", she said]",
        "Gr\xC3\xBC\xC3\x9F", "PK", "\xEF\xBB\xBFOnce", "<html>", "#!/bin/sh\n", "{\"text\": 1}"}) {
    EXPECT_EQ(foreign_format("a.txt", text), "") << text;
  }
  EXPECT_EQ(foreign_format("a.json", "{\"text\": \"x\"}\n{\"text\": \"y\"}"), "");
  EXPECT_EQ(foreign_format("a.jsonl", "{\"text\": \"x\"}"), "");
}

TEST(IsJsonLines, ByNameOrFirstLine) {
  EXPECT_TRUE(is_json_lines("a.jsonl.zst", "x"));
  EXPECT_TRUE(is_json_lines("a.ndjson", "x"));
  EXPECT_TRUE(is_json_lines("a.json", "{\"a\": 1}\n{"));
  EXPECT_FALSE(is_json_lines("a.json", "{\"a\":\n1}"));
  EXPECT_FALSE(is_json_lines("a.txt", "{\"a\": 1}"));
}

int64_t bad_in(std::string_view text, size_t piece) {
  TextCheck check;
  for (size_t i = 0; i < text.size(); i += piece) check.add(text.substr(i, piece));
  EXPECT_EQ(check.bytes(), std::ssize(text));
  return check.bad();
}

TEST(TextCheck, CountsWhatIsNoUtf8WhereverPiecesEnd) {
  const std::pair<std::string_view, int64_t> cases[] = {
      {"plain text\r\n\twith\f escapes \x1B[0m", 0},
      {"Gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF", 0},
      {"zero \0 and one \1 and \x7F"sv, 3},
      {"lone \x80, two \xBF\xBF.", 3},
      {"cut \xE2\x82, then \xC3.", 3},
      {"long \xC0\xAF, \xE0\x80\x80.", 5},  // a slash in two bytes; in three
      {"surrogate \xED\xA0\x80, beyond \xF4\x90\x80\x80.", 7},
      {"never \xFE\xFF\xF5.", 3}};
  for (const auto& [text, bad] : cases) {
    for (const size_t piece : {1, 2, 3, 7, 64}) EXPECT_EQ(bad_in(text, piece), bad) << text;
  }
}

class DataFilesTest : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    write_bytes(folder_ / name, text);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }
  const TemporaryFolder folder_;
};

TEST_F(DataFilesTest, FoldersAreTheTextsInThem) {
  write("b/z.txt", "one");
  write("b/deep/er/a.md", "two");
  write("b/c.jsonl", "{\"text\": \"three\"}");
  write("b/.hidden", "no");
  write("b/.git/config", "no");
  write("b/picture.png", "\x89PNG\r\n");
  write("b/table.csv", "a,b");
  write("b/empty", "");
  write("b/cut.gz", "this is not gzip");
  write("b/noise", std::string(5000, '\xFE'));
  write("a.txt", "four");
  {
    files::TextWriter writer(folder_ / "b/d.txt.zst");
    writer.write("five");
    writer.commit();
  }
  ::testing::internal::CaptureStderr();
  const std::vector<std::string> files = data_files({path("b"), path("a.txt"), path("b/z.txt")});
  const std::string messages = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(files, (std::vector<std::string>{path("b/c.jsonl"), path("b/d.txt.zst"),
                                             path("b/deep/er/a.md"), path("b/z.txt"), path("a.txt"),
                                             path("b/z.txt")}));
  for (const char* name : {"picture.png", "table.csv", "empty", "cut.gz", "noise"}) {
    EXPECT_NE(messages.find(name), std::string::npos) << name << ": " << messages;
  }
  EXPECT_EQ(messages.find("hidden"), std::string::npos);
}

TEST_F(DataFilesTest, FilesThatAreNamedMustBeText) {
  write("a.txt", std::string("PK\3\4....", 8));
  write("latin", std::string(200, '\xE4'));
  write("empty", "");
  write("pictures/a.gif", "GIF89a");
  const auto refused = [&](const char* name, std::initializer_list<std::string_view> parts) {
    expect_error([&] { (void)data_files({path(name)}); }, parts);
  };
  refused("a.txt", {"a.txt", "zip"});
  refused("latin", {"latin", "200 of its first 200 bytes", "iconv"});
  refused("empty", {"empty", "expected a text"});
  refused("pictures", {"pictures", "no text in this folder", "1 files"});
  // What is missing is said by who opens it, with the name.
  EXPECT_EQ(data_files({path("none")}).size(), 1u);
}

}  // namespace
}  // namespace evo::data
