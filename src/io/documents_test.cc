#include "io/documents.h"

#include "io/testing.h"
#include "io/text_writer.h"

namespace evo {
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
  // The same text without that name is plain.
  EXPECT_EQ(texts(DocumentReader({file("c", "{\"text\": 1}")})), (Texts{"{\"text\": 1}"}));
}

TEST_F(DocumentsTest, CompressedJsonLines) {
  {
    TextWriter writer(folder_ / "a.jsonl.zst");
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

TEST_F(DocumentsTest, NamesFileAndLineOfAFault) {
  const auto refused = [&](std::string_view name, std::string_view text,
                           std::initializer_list<std::string_view> parts) {
    const std::string path = file(name, text);
    expect_error([&] { texts(DocumentReader({path})); }, parts);
  };
  refused("a.jsonl", "{\"text\": \"x\"}\n{\"text\": ", {"a.jsonl, line 2"});
  refused("a.jsonl", "{\"text\": 1}", {"a.jsonl, line 1", "\"text\" must be a text"});
  refused("a.jsonl", "{\"body\": \"x\"}", {"line 1", "\"text\"", "messages", "--text-field"});
  refused("a.jsonl", "{\"completion\": \"x\"}", {"line 1", "prompt"});
  refused("a.jsonl", "{\"messages\": [{\"role\": \"user\"}]}", {"line 1", "content"});
  refused("empty", "", {"empty", "expected a text"});
  expect_error([&] { DocumentReader({(folder_ / "none").string()}); }, {"none", "No such file"});
}

}  // namespace
}  // namespace evo
