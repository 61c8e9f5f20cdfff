#include "text/regex.h"

#include "text/testing.h"

namespace evo::text {
namespace {

using testing::error_of;
using Matches = std::vector<std::string>;

Matches matches(const std::string& pattern, std::string_view text) {
  const Regex regex(pattern);
  RegexMatcher matcher(regex);
  matcher.start(text);
  Matches found;
  for (RegexMatch match; matcher.next(match);) {
    found.emplace_back(text.substr(match.begin, match.end - match.begin));
  }
  return found;
}

TEST(Regex, TranslatesFromOniguruma) {
  EXPECT_EQ(matches(R"(\w+)", "a\u0301_b c-d"), (Matches{"a\u0301_b", "c", "d"}));
  EXPECT_EQ(matches(R"(\W)", "a-\u0301 "), (Matches{"-", " "}));
  EXPECT_EQ(matches(R"([\s\w]+)", "a\u3000b!"), Matches{"a\u3000b"});
  EXPECT_EQ(matches(R"(^b$)", "a\nb\nc"), Matches{"b"});
  EXPECT_EQ(matches(R"([[:alpha:]]+)", "ab1"), Matches{"ab"});
  EXPECT_EQ(matches(R"([]a]+)", "a]b"), Matches{"a]"});
  EXPECT_EQ(matches(R"(\\s)", R"(\s)"), Matches{R"(\s)"});
}

// The expectations are what tokenizers.pre_tokenizers.Split makes of these texts.
TEST(Regex, SetsMayHoldSets) {
  const struct {
    const char *pattern, *text;
    Matches found;
  } all[] = {
      {"[a[bc]]+", "xabcx", {"abc"}},
      {"[a-z&&[^b]]+", "abcd", {"a", "cd"}},
      {R"([\W]+)", "a-. b", {"-. "}},
      {R"( ?[^(\s|[.,!?])]+)", " ab,c|d)e (f", {" ab", "c", "d", "e", "f"}},
      {"[^a[bc]]+", "abcde]", {"de]"}},
      {"[^a[^b]]+", "abc", {"b"}},
      {"[a-z&&[^aeiou]&&[^x-z]]+", "bcdaxyf", {"bcd", "f"}},
      {"[^a-z&&[^b]]+", "abc1", {"b", "1"}},
      {"[a[-z]]+", "a-mz", {"a-", "z"}},
      {"[x[]y]]+", "x]yz", {"x]y"}},
      {R"([\p{L}&&[^\p{Han}\p{Lu}]]+)", "aB\u4E2Dc", {"a", "c"}},
      {"(?i:[a-c&&[^b]])+", "aAbBcC", {"aA", "cC"}},
      {"[a&&b]", "ab", {}},
      {"[^x&&y]+", "xyz\n", {"xyz\n"}},
  };
  for (const auto& one : all) EXPECT_EQ(matches(one.pattern, one.text), one.found) << one.pattern;
}

TEST(Regex, RefusesWhatWouldMeanSomethingElse) {
  for (const char* pattern : {R"(\h)", R"([\H])", R"([[\h]])"}) {
    EXPECT_NE(error_of([&] { Regex regex{pattern}; }).find("uses \\h"), std::string::npos);
  }
  EXPECT_NE(error_of([] { Regex regex{std::string(100'000, '[')}; }).find("deep"),
            std::string::npos);
  EXPECT_NE(error_of([] { Regex regex{"x[a&&[b]"}; }).find("without an end"), std::string::npos);
}

// As Oniguruma's iterator: an empty match counts unless it touches the match before it.
TEST(Regex, EmptyMatches) {
  EXPECT_EQ(matches("a*", "baac"), (Matches{"", "aa", ""}));
  EXPECT_EQ(matches("(?=b)", "abb"), (Matches{"", ""}));
  EXPECT_EQ(matches("x*", "\u6771"), (Matches{"", ""}));
}

TEST(Regex, LiteralsMatchThemselves) {
  for (const std::string text : {"a.b", "\\E", "[x](y){z}", "^$|?*+", "\u2581", "# -", "a\nb"}) {
    EXPECT_EQ(matches(regex_of_literal(text), "--" + text + "--"), Matches{text});
  }
}

// Each match stays below PCRE2's limit, but there are as many as the text has bytes, and each reads
// all that follows: hours together, so that no machine is fast enough to be let through.
TEST(Regex, ManySlowMatchesAreGivenUp) {
  const std::string text(5'000'000, 'a');
  const std::string message = error_of([&] { matches("(?=a*b)|a", text); });
  EXPECT_TRUE(message.find("too slow") != std::string::npos ||
              message.find("limit") != std::string::npos)
      << message;
}

TEST(Regex, HugePatternsAreErrors) {
  EXPECT_NE(error_of([] { Regex regex{std::string(100'000, '(')}; }), "");
  EXPECT_LT(error_of([] { Regex regex{std::string(10 << 20, 'a') + "("}; }).size(), 2000u);
  EXPECT_NE(error_of([] { Regex regex{"(((a{500}){500}){500}){500}"}; }), "");
}

}  // namespace
}  // namespace evo::text
