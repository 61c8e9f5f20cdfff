#include "tokenizer/steps/normalizer.h"

#include "text/testing.h"

namespace evo::tokenizer {
namespace {

using testing::error_of;

std::string normalized(const std::string& json, std::string_view text) {
  std::string memory;
  return std::string(Normalizer(json).apply(text, memory));
}

TEST(Normalizer, Steps) {
  EXPECT_EQ(normalized("null", "a\xFF"), "a\xFF");
  EXPECT_EQ(normalized(R"({"type":"NFC"})",
                       "e\u0301\xFF"
                       "e\u0301"),
            "\u00E9\xFF\u00E9");
  EXPECT_EQ(normalized(R"({"type":"NFKC"})", "\uFB01"), "fi");
  EXPECT_EQ(normalized(R"({"type":"Lowercase"})", "A\xFF\u00C9"), "a\xFF\u00E9");
  EXPECT_EQ(normalized(R"({"type":"Prepend","prepend":"_"})", "a"), "_a");
  EXPECT_EQ(normalized(R"({"type":"Prepend","prepend":"_"})", ""), "");
  EXPECT_EQ(normalized(R"({"type":"Replace","pattern":{"String":"aa"},"content":"b"})", "aaaxaa"),
            "baxb");
  EXPECT_EQ(normalized(R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "})",
                       "a   b\xFF  c d"),
            "a b\xFF c d");
  EXPECT_EQ(normalized(R"({"type":"Strip","strip_left":true,"strip_right":true})", " \u3000a b\n"),
            "a b");
  EXPECT_EQ(normalized(R"({"type":"Strip","strip_left":false,"strip_right":true})", " a "), " a");
}

TEST(Normalizer, SequencesApplyInOrder) {
  const std::string json = R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":" "},
      {"type":"Replace","pattern":{"String":" "},"content":"\u2581"},{"type":"NFC"}]})";
  EXPECT_EQ(normalized(json, "a b"), "\u2581a\u2581b");
  EXPECT_EQ(normalized(json, ""), "");
}

TEST(Normalizer, TextStaysWhereNothingIsDone) {
  const Normalizer none("null");
  EXPECT_TRUE(none.is_identity());
  std::string memory;
  const std::string text = "text";
  EXPECT_EQ(none.apply(text, memory).data(), text.data());
}

TEST(Normalizer, GrowthIsBounded) {
  std::string steps;
  for (int i = 0; i < 10; ++i) {
    steps += std::string(i > 0 ? "," : "") +
             R"({"type":"Replace","pattern":{"String":"a"},"content":")" + std::string(1000, 'a') +
             "\"}";
  }
  const std::string json = R"({"type":"Sequence","normalizers":[)" + steps + "]}";
  const std::string message = error_of([&] { normalized(json, "a"); });
  EXPECT_NE(message.find("times longer"), std::string::npos) << message;
}

TEST(Normalizer, FaultsAreNamed) {
  const std::pair<const char*, const char*> all[] = {
      {R"({"type":"Nmt2"})", "\"Nmt2\""},
      {R"({"type":"BertNormalizer","clean_text":1})", "clean_text"},
      {R"({"type":"Precompiled","precompiled_charsmap":"?"})", "not base64"},
      {R"({"type":"Precompiled","precompiled_charsmap":"/////w=="})", "damaged"},
      {R"({"type":"Prepend"})", "'normalizer.prepend' must be a string"},
      {R"({"type":"Replace","content":"a"})", "'normalizer.pattern' must be an object"},
      {R"({"type":"Replace","content":"a","pattern":{"String":""}})", "is empty"},
      {R"({"type":"Replace","content":"a","pattern":{"Regex":"("}})", "parenthesis"},
      {R"({"type":"Sequence","normalizers":[null,{"type":"X"}]})", "normalizers[1].type"},
      {R"({"type":"Strip","strip_left":1})", "strip_left"},
      {"3", "'normalizer' must be an object"},
  };
  for (const auto& [json, part] : all) {
    const std::string message = error_of([&] { Normalizer normalizer{json}; });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace evo::tokenizer
