#include "data/documents.h"

#include "base/testing.h"
#include "files/text_writer.h"

namespace evo::data {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;
using testing::write_bytes;

class DocumentsTest : public ::testing::Test {
 protected:
  std::string file(std::string_view name, std::string_view text) const {
    write_bytes(folder_ / name, text);
    return (folder_ / name).string();
  }
  static std::vector<std::string> texts(DocumentReader reader) {
    std::vector<std::string> all;
    while (const auto document = reader.next()) all.push_back(document->text);
    EXPECT_EQ(reader.stored_bytes_read(), reader.stored_bytes());
    return all;
  }
  const TemporaryFolder folder_;
};

using Texts = std::vector<std::string>;

TEST_F(DocumentsTest, SeparatorsAreLinesOfTheirOwn) {
  EXPECT_EQ(texts(DocumentReader({file("a",
                                       "\none\ntwo\n<|endoftext|>\n\nthree\n"
                                       "in <|endoftext|> line\n<|endoftext|>not alone\n"
                                       "<|endoftext|>\r\nfour\r\n<|endoftext|>\n<|endoftext|>")})),
            (Texts{"one\ntwo", "three\nin <|endoftext|> line\n<|endoftext|>not alone", "four"}));
}

TEST_F(DocumentsTest, FilesAreDocumentsOfTheirOwn) {
  EXPECT_EQ(texts(DocumentReader({file("a", "one"), file("b", "two\n<|endoftext|>\nthree")})),
            (Texts{"one", "two", "three"}));
}

TEST_F(DocumentsTest, LongLinesAndManyPieces) {
  const std::string longest(1'000'000, 'x');
  const std::string text = longest + "\n<|endoftext|>\ny\n\nz\n" + longest;
  EXPECT_EQ(texts(DocumentReader({file("a", text)})), (Texts{longest, "y\n\nz\n" + longest}));
}

TEST_F(DocumentsTest, JsonLines) {
  const std::string lines =
      "{\"text\": \"one\\ntwo\"}\n\n{\"id\": 1, \"text\": \"\"}\r\n{\"text\": \"three\"}";
  EXPECT_EQ(texts(DocumentReader({file("a.jsonl", lines)})), (Texts{"one\ntwo", "three"}));
  EXPECT_EQ(texts(DocumentReader({file("b.ndjson", "{\"body\":\"x\"}")}, "body")), (Texts{"x"}));
  EXPECT_EQ(texts(DocumentReader({file("b.json", "{\"text\":\"x\"}\n{\"text\":\"y\"}")})),
            (Texts{"x", "y"}));
  // The same text without that name is plain.
  EXPECT_EQ(texts(DocumentReader({file("c", "{\"text\": 1}")})), (Texts{"{\"text\": 1}"}));
}

TEST_F(DocumentsTest, CompressedJsonLines) {
  {
    files::TextWriter writer(folder_ / "a.jsonl.zst");
    writer.write("{\"text\": \"one\"}\n");
    writer.commit();
  }
  EXPECT_EQ(texts(DocumentReader({(folder_ / "a.jsonl.zst").string()})), (Texts{"one"}));
}

TEST_F(DocumentsTest, Conversations) {
  DocumentReader reader({file("a.jsonl",
                              "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, "
                              "{\"role\": \"assistant\", \"content\": \"Hello\", \"x\": 1}]}")});
  const auto document = reader.next();
  ASSERT_TRUE(document && document->is_chat());
  ASSERT_EQ(document->messages.size(), 2u);
  EXPECT_EQ(document->messages[1].role, "assistant");
  EXPECT_EQ(document->messages[1].content, "Hello");
  EXPECT_FALSE(reader.next());
}

TEST_F(DocumentsTest, PromptsAndCompletions) {
  DocumentReader reader({file("a.jsonl",
                              "{\"prompt\": \"1+1=\", \"completion\": \"2\"}\n"
                              "{\"completion\": \"alone\", \"prompt\": \"\"}")});
  const auto first = reader.next(), second = reader.next();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->prompt, "1+1=");
  EXPECT_EQ(first->text, "2");
  EXPECT_EQ(second->prompt, "");
  EXPECT_EQ(second->text, "alone");
}

/// Python writes NaN where a column of numbers has a gap.
TEST_F(DocumentsTest, ConstantsOfPythonAreNoFault) {
  EXPECT_EQ(texts(DocumentReader({file("a.jsonl", "{\"text\": \"one\", \"score\": NaN}")})),
            (Texts{"one"}));
}

TEST_F(DocumentsTest, AByteOrderMarkIsNoText) {
  EXPECT_EQ(texts(DocumentReader({file("a", "\xEF\xBB\xBFone")})), (Texts{"one"}));
  EXPECT_EQ(texts(DocumentReader({file("a.jsonl", "\xEF\xBB\xBF{\"text\":\"one\"}")})),
            (Texts{"one"}));
}

TEST_F(DocumentsTest, AFewBadLinesAreNamedAndSkipped) {
  std::string lines;
  for (int i = 0; i < 30; ++i) lines += "{\"text\": \"good\"}\n{\"text\": \"cut\n";
  const auto first = [&](int bad) {  // of the lines, as many as have so many bad ones
    size_t end = 0;
    for (int i = 0; i < bad; ++i) end = lines.find("cut\n", end) + 4;
    return lines.substr(0, end);
  };
  DocumentReader reader({file("a.jsonl", first(10) + "{\"text\": 1")});  // 11 of 21
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(reader.next());
  expect_error([&] { (void)reader.next(); }, {"a.jsonl, line 21", "11 of the 21 lines", "1%"});

  DocumentReader borne({file("b.jsonl", first(7))});
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(borne.next());
  EXPECT_FALSE(borne.next());
  const std::vector<std::string> notes = borne.take_notes();
  ASSERT_EQ(notes.size(), 6u);  // five lines, and how many there were
  EXPECT_NE(notes[0].find("b.jsonl, line 2"), std::string::npos) << notes[0];
  EXPECT_NE(notes[4].find("b.jsonl, line 10"), std::string::npos) << notes[4];
  EXPECT_NE(notes[5].find("7 of its 14 lines"), std::string::npos) << notes[5];
  EXPECT_TRUE(borne.take_notes().empty());

  std::string many;  // 15 bad lines are 1%
  for (int i = 0; i < 1500; ++i) many += i % 100 == 99 ? "{\n" : "{\"text\": \"good\"}\n";
  EXPECT_EQ(texts(DocumentReader({file("c.jsonl", many)})).size(), 1485u);
}

TEST_F(DocumentsTest, ALittleThatIsNoUtf8IsKeptAndCounted) {
  std::string text(20'000, 'x');
  for (size_t i = 100; i < 20'000; i += 200) text[i] = '\xFF';  // 100 of them
  DocumentReader reader({file("a", text)});
  EXPECT_EQ(reader.next()->text, text);
  EXPECT_FALSE(reader.next());
  const std::vector<std::string> notes = reader.take_notes();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("100 of its 20000 bytes"), std::string::npos) << notes[0];

  for (size_t i = 0; i < 300; i += 2) text[i] = '\xFF';
  expect_error([&] { texts(DocumentReader({file("a", text)})); },
               {"249 of its first 20000", "UTF-8", "iconv"});
  // Also where it begins late, and in a short file.
  const std::string late = std::string(2'000'000, 'x') + std::string(30'000, '\0');
  expect_error([&] { texts(DocumentReader({file("a", late)})); }, {"does not look like text"});
  expect_error([&] { texts(DocumentReader({file("a", "gr\xFC\xDF")})); }, {"2 of its first 4"});
}

TEST_F(DocumentsTest, OtherFormatsAreRefused) {
  expect_error([&] { texts(DocumentReader({file("a", "PAR1....")})); }, {"a", "parquet"});
  expect_error([&] { texts(DocumentReader({file("a.json", "[{\"text\": \"x\"}]")})); },
               {"a.json", "JSON array", "jq -c"});
}

TEST_F(DocumentsTest, NamesFileAndLineOfAFault) {
  const auto refused = [&](std::string_view name, std::string_view text,
                           std::initializer_list<std::string_view> parts) {
    const std::string path = file(name, text);
    expect_error([&] { texts(DocumentReader({path})); }, parts);
  };
  refused("a.jsonl", "\n{\"text\": ", {"a.jsonl, line 2"});
  refused("a.jsonl", "{\"text\": 1}", {"a.jsonl, line 1", "\"text\" must be a text"});
  refused("a.jsonl", "{\"body\": \"x\"}", {"line 1", "\"text\"", "messages", "--text-field"});
  refused("a.jsonl", "{\"completion\": \"x\"}", {"line 1", "prompt"});
  refused("a.jsonl", "{\"messages\": [{\"role\": \"user\"}]}", {"line 1", "content"});
  refused("empty", "", {"empty", "expected a text"});
  expect_error([&] { DocumentReader({(folder_ / "none").string()}); }, {"none", "No such file"});
}

}  // namespace
}  // namespace evo::data
