#include "tokenizer/steps/added_tokens.h"

#include "text/testing.h"

namespace evo::tokenizer {
namespace {

using Pattern = AddedTokenFinder::Pattern;

// "text|<token>|text" for what is found.
std::string found(const std::vector<Pattern>& patterns, std::string_view text,
                  bool special = true) {
  const AddedTokenFinder finder(patterns);
  std::vector<TextPart> parts;
  finder.find(text, special, parts);
  std::string shown, joined;
  for (const TextPart& part : parts) {
    EXPECT_FALSE(part.text.empty());
    if (!shown.empty()) shown += '|';
    shown += part.token < 0 ? std::string(part.text) : fmt::format("{}:{}", part.token, part.text);
    joined += part.text;
  }
  EXPECT_EQ(joined, text);
  return shown;
}

TEST(AddedTokenFinder, TakesTheLeftmostLongest) {
  const std::vector<Pattern> patterns = {{"<a", {.id = 1}}, {"<a>", {.id = 2}}, {"a>b", {.id = 3}}};
  EXPECT_EQ(found(patterns, "x<a>b<a"), "x|2:<a>|b|1:<a");
  EXPECT_EQ(found(patterns, "a>b"), "3:a>b");
  EXPECT_EQ(found(patterns, "<"), "<");
  EXPECT_EQ(found(patterns, ""), "");
}

TEST(AddedTokenFinder, SpecialOnesAreTextUnlessAskedFor) {
  const std::vector<Pattern> patterns = {{"<s>", {.id = 1}}, {"<t>", {.id = 2, .special = false}}};
  EXPECT_EQ(found(patterns, "<s><t>", false), "<s>|2:<t>");
  EXPECT_EQ(found(patterns, "<s><t>", true), "1:<s>|2:<t>");
  EXPECT_TRUE(AddedTokenFinder(patterns).is_needed(false));
  EXPECT_FALSE(AddedTokenFinder({patterns[0]}).is_needed(false));
  EXPECT_TRUE(AddedTokenFinder({patterns[0]}).is_needed(true));
}

TEST(AddedTokenFinder, Flags) {
  EXPECT_EQ(found({{"ab", {.id = 1, .single_word = true}}}, "ab cab abc-ab"),
            "1:ab| cab abc-|1:ab");
  EXPECT_EQ(found({{"<", {.id = 1, .lstrip = true}}}, "a \u3000<  <b"), "a|1: \u3000<|1:  <|b");
  EXPECT_EQ(found({{"<", {.id = 1, .rstrip = true}}}, "a <  < b"), "a |1:<  |1:< |b");
}

TEST(AddedTokenFinder, HugeTokensAreRefused) {
  EXPECT_NE(testing::error_of([] { AddedTokenFinder({{std::string(5000, 'a'), {}}}); }), "");
  std::vector<Pattern> many;
  for (int i = 0; i < 3000; ++i)
    many.push_back({fmt::format("{:04}", i) + std::string(900, 'a'), {}});
  EXPECT_NE(testing::error_of([&] { AddedTokenFinder finder(many); }), "");
}

TEST(AddedTokenFinder, GuardedNamesAreText) {
  const std::vector<Pattern> patterns = {
      {"<s>", {.id = 1}}, {"<s><t>", {.id = 2}}, {"<t>", {.id = 3, .special = false}}};
  const AddedTokenFinder finder(patterns);
  const auto tokens = [&](std::string_view text) {
    std::vector<TextPart> parts;
    finder.find(text, true, parts, "!");
    std::vector<int32_t> ids;
    for (const TextPart& part : parts) ids.push_back(part.token);
    return ids;
  };
  EXPECT_EQ(tokens("<s><t>"), (std::vector<int32_t>{2}));
  EXPECT_EQ(tokens("!<s><t>"), (std::vector<int32_t>{-1, 3}));
  EXPECT_EQ(tokens("!<s>!<t>"), (std::vector<int32_t>{-1}));
  EXPECT_EQ(tokens("<s>!<t>"), (std::vector<int32_t>{1, -1}));
  EXPECT_EQ(finder.beginnings("x<s><t><s", false), (std::vector<size_t>{1, 4}));
  EXPECT_EQ(finder.beginnings("x<s><t><s", true), (std::vector<size_t>{1}));
}

}  // namespace
}  // namespace evo::tokenizer
