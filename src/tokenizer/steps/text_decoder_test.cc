#include "tokenizer/steps/text_decoder.h"

#include "text/testing.h"

namespace evo::tokenizer {
namespace {

using testing::error_of;

TextDecoder sequence(const std::string& steps) {
  return {R"({"type":"Sequence","decoders":[)" + steps + "]}", false};
}

constexpr const char* kLlama2 =
    R"({"type":"Replace","pattern":{"String":"_"},"content":" "},{"type":"ByteFallback"},
       {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0})";

TEST(TextDecoder, Llama2) {
  const TextDecoder decoder = sequence(kLlama2);
  EXPECT_EQ(decoder.bytes_of("_the_"), " the ");
  EXPECT_EQ(decoder.bytes_of("<0x0A>"), "\n");
  EXPECT_EQ(decoder.bytes_of("<0x0a>"), "<0x0a>");
  EXPECT_EQ(decoder.bytes_of("<0xFF>"), "\xFF");
  EXPECT_EQ(decoder.leading().content, " ");
  EXPECT_EQ(decoder.leading().count, 1);
}

TEST(TextDecoder, OtherForms) {
  const TextDecoder metaspace(R"({"type":"Metaspace","replacement":"_","add_prefix_space":true})",
                              false);
  EXPECT_EQ(metaspace.bytes_of("_a"), " a");
  EXPECT_EQ(metaspace.leading().count, 1);
  const TextDecoder never(R"({"type":"Metaspace","replacement":"_","prepend_scheme":"never"})",
                          false);
  EXPECT_EQ(never.leading().count, 0);
  const TextDecoder strip(R"({"type":"Strip","content":"-","start":1,"stop":2})", false);
  EXPECT_EQ(strip.bytes_of("--a---"), "-a-");
  EXPECT_EQ(strip.leading().count, 0);
  EXPECT_EQ(TextDecoder(R"({"type":"ByteLevel"})", true).bytes_of("a"), std::nullopt);
}

TEST(TextDecoder, FaultsAreNamed) {
  const std::pair<const char*, const char*> all[] = {
      {R"({"type":"CTC"})", "\"CTC\""},
      {R"({"type":"WordPiece"})", "prefix"},
      {R"({"type":"Fuse"},{"type":"ByteFallback"})", "after Fuse"},
      {R"({"type":"Fuse"},{"type":"Strip","content":" ","start":0,"stop":1})", "end of a text"},
      {R"({"type":"Strip","content":" ","start":-1,"stop":0})", "decoders[0].start"},
      {R"({"type":"Strip","content":"","start":1,"stop":0})", "is empty"},
      {R"({"type":"Replace","pattern":{"String":""},"content":""})", "is empty"},
      {R"({"type":"Replace","pattern":{"Regex":"a"},"content":""})", "pattern.String"},
      {R"({"type":"Metaspace","replacement":""})", "is empty"},
      {R"({"type":"Metaspace","replacement":"_"},{"type":"Metaspace","replacement":"_"})",
       "second rule"},
  };
  for (const auto& [steps, part] : all) {
    const std::string message = error_of([&] { sequence(steps); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace evo::tokenizer
