#include "tokenizer/steps/pre_tokenizer.h"

#include "text/testing.h"

namespace evo::tokenizer {
namespace {

using testing::error_of;
using Words = std::vector<std::string>;

Words words(const std::string& json, std::string_view text, bool at_start = true) {
  const PreTokenizer pre_tokenizer(json);
  WordCutter cutter(pre_tokenizer);
  Words found;
  cutter.cut(text, at_start, [&](std::string_view word) { found.emplace_back(word); });
  return found;
}

std::string split(const std::string& behavior, const std::string& invert = "false") {
  return R"({"type":"Split","pattern":{"String":"-"},"behavior":")" + behavior + R"(","invert":)" +
         invert + "}";
}

// The example of Hugging Face's documentation of these behaviors.
TEST(PreTokenizer, SplitBehaviors) {
  const char* text = "the-final--countdown";
  EXPECT_EQ(words(split("Removed"), text), (Words{"the", "final", "countdown"}));
  EXPECT_EQ(words(split("Isolated"), text), (Words{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(words(split("MergedWithPrevious"), text), (Words{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(words(split("MergedWithNext"), text), (Words{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(words(split("Contiguous"), text), (Words{"the", "-", "final", "--", "countdown"}));
  EXPECT_EQ(words(split("Removed", "true"), text), (Words{"-", "-", "-"}));
  EXPECT_EQ(words(split("Removed"), "--"), Words{});
}

TEST(PreTokenizer, ByteLevel) {
  EXPECT_EQ(words(R"({"type":"ByteLevel","add_prefix_space":true})", "a b"), (Words{" a", " b"}));
  EXPECT_EQ(words(R"({"type":"ByteLevel","add_prefix_space":true})", " a"), Words{" a"});
  EXPECT_EQ(words(R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})", "a b\xFF"),
            Words{"a b\xFF"});
}

TEST(PreTokenizer, Metaspace) {
  const auto metaspace = [](const std::string& scheme, const std::string& cut) {
    return R"({"type":"Metaspace","replacement":"_","prepend_scheme":")" + scheme +
           R"(","split":)" + cut + "}";
  };
  EXPECT_EQ(words(metaspace("always", "true"), "a  b"), (Words{"_a", "_", "_b"}));
  EXPECT_EQ(words(metaspace("always", "false"), "a b"), Words{"_a_b"});
  EXPECT_EQ(words(metaspace("always", "false"), " b"), Words{"_b"});
  EXPECT_EQ(words(metaspace("never", "false"), "a b"), Words{"a_b"});
  EXPECT_EQ(words(metaspace("first", "false"), "a"), Words{"_a"});
  EXPECT_EQ(words(metaspace("first", "false"), "a", false), Words{"a"});
  // The first piece of a text that was cut before, not each piece.
  EXPECT_EQ(words(R"({"type":"Sequence","pretokenizers":[)" + split("Isolated") + "," +
                      metaspace("first", "false") + "]}",
                  "a-b"),
            (Words{"_a", "-", "b"}));
  EXPECT_EQ(words(R"({"type":"Metaspace","replacement":"_","add_prefix_space":false})", "a b"),
            (Words{"a", "_b"}));
}

TEST(PreTokenizer, SimpleOnes) {
  EXPECT_EQ(words(R"({"type":"Digits","individual_digits":true})", "a12"), (Words{"a", "1", "2"}));
  EXPECT_EQ(words(R"({"type":"Digits","individual_digits":false})", "a1\u0662b"),
            (Words{"a", "1\u0662", "b"}));
  EXPECT_EQ(words(R"({"type":"Whitespace"})", "a_b, c\u3000!?"), (Words{"a_b", ",", "c", "!?"}));
  EXPECT_EQ(words(R"({"type":"WhitespaceSplit"})", " a,b  c"), (Words{"a,b", "c"}));
  EXPECT_EQ(words(R"({"type":"Punctuation"})", "a,$\u3002b"),
            (Words{"a", ",", "$", "\u3002", "b"}));
  EXPECT_EQ(words("null", "a b"), Words{"a b"});
}

TEST(PreTokenizer, SequencesCutWhatIsCut) {
  const std::string json = R"({"type":"Sequence","pretokenizers":[
      {"type":"Split","pattern":{"Regex":"\\p{N}{1,3}"},"behavior":"Isolated","invert":false},
      {"type":"Split","pattern":{"Regex":"[一-龥]+"},"behavior":"Isolated","invert":false},
      {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})";
  EXPECT_EQ(words(json, "ab1234\u6771cd"), (Words{"ab", "123", "4", "\u6771", "cd"}));
}

TEST(PreTokenizer, NothingIsLostBetweenIsolatedPieces) {
  Random random(1);
  for (const char* behavior : {"Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}) {
    for (int trial = 0; trial < 300; ++trial) {
      const std::string text = testing::random_text(random, random.below(20), "-a\xFF\xC3\xA9");
      std::string joined;
      for (const std::string& word : words(split(behavior), text)) {
        EXPECT_FALSE(word.empty());
        joined += word;
      }
      EXPECT_EQ(joined, text) << behavior;
    }
  }
}

TEST(PreTokenizer, SignatureFollowsWhatItDoes) {
  const auto signature = [](const std::string& json) { return PreTokenizer(json).signature(); };
  EXPECT_EQ(signature(R"({"type":"ByteLevel","add_prefix_space":false})"), kGpt2Pattern);
  EXPECT_NE(signature(split("Isolated")), signature(split("Removed")));
  EXPECT_NE(signature(split("Removed")), signature(split("Removed", "true")));
  EXPECT_NE(signature(split("Isolated")), "\\-");  // not byte-level
}

TEST(PreTokenizer, FaultsAreNamed) {
  const std::pair<std::string, const char*> all[] = {
      {R"({"type":"UnicodeScripts"})", "\"UnicodeScripts\""},
      {R"({"type":"ByteLevel"})", "add_prefix_space"},
      {R"({"type":"Split","behavior":"Isolated"})", "'pre_tokenizer.pattern'"},
      {R"({"type":"Split","behavior":"Isolated","pattern":{"String":""}})", "is empty"},
      {R"({"type":"Metaspace","replacement":"_","prepend_scheme":"odd"})", "\"odd\""},
      {R"({"type":"Metaspace"})", "replacement"},
      {split("Split"), "\"Split\""},
  };
  for (const auto& [json, part] : all) {
    const std::string message = error_of([&] { PreTokenizer pre_tokenizer{json}; });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace evo::tokenizer
