#include "grammar/automaton.h"

#include <gtest/gtest.h>

#include <string>

#include "grammar/program_builder.h"
#include "grammar/testing.h"

namespace evo::grammar {
namespace {

Automaton::State read(Automaton& automaton, std::string_view text, Automaton::State state) {
  for (const char byte : text) {
    if (state != Automaton::kDead) state = automaton.step(state, static_cast<uint8_t>(byte));
  }
  return state;
}

TEST(Automaton, EndlessTextsStayInOneState) {
  const Grammar grammar = Grammar::json_object();
  Automaton automaton(grammar.program());
  const Automaton::State inside = read(automaton, R"({"a": "x)", automaton.start());
  EXPECT_EQ(read(automaton, "yz \u00E9 \\u00e9 \\n", inside), inside);
  const Automaton::State item = read(automaton, R"({"a": [1,)", automaton.start());
  EXPECT_EQ(read(automaton, "2,\"x\",{},[[]],", item), item);
}

TEST(Automaton, RepeatsCount) {
  ProgramBuilder builder;
  const RuleId pair = builder.rule(builder.literal("ab", kReturn));
  const RuleId root = builder.rule(builder.repeat(pair, 2, 3, builder.literal("!", kReturn)));
  const Program program = std::move(builder).build(root);
  for (int times = 0; times <= 5; ++times) {
    Automaton automaton(program);
    std::string text;
    for (int i = 0; i < times; ++i) text += "ab";
    const Automaton::State state = read(automaton, text + "!", automaton.start());
    EXPECT_EQ(state != Automaton::kDead, times == 2 || times == 3) << times;
    if (state == Automaton::kDead) continue;
    EXPECT_TRUE(automaton.final(state));
  }
}

/// Two rules that share a beginning, one of them longer: both readings are followed.
TEST(Automaton, FollowsAllReadings) {
  ProgramBuilder builder;
  const RuleId first = builder.rule(builder.literal("aab", kReturn));
  const RuleId second = builder.rule(builder.literal("aa", kReturn));
  const RuleId root = builder.rule(builder.split(
      {builder.call(first, builder.literal("1", kReturn)),
       builder.call(second, builder.literal("2", kReturn)), builder.literal("a", kReturn)}));
  const Program program = std::move(builder).build(root);
  Automaton automaton(program);
  const Automaton::State one = read(automaton, "a", automaton.start());
  EXPECT_TRUE(automaton.complete(one));
  EXPECT_FALSE(automaton.final(one));
  EXPECT_TRUE(automaton.final(read(automaton, "aab1", automaton.start())));
  EXPECT_TRUE(automaton.final(read(automaton, "aa2", automaton.start())));
  EXPECT_EQ(read(automaton, "aab2", automaton.start()), Automaton::kDead);
  EXPECT_EQ(read(automaton, "aa1", automaton.start()), Automaton::kDead);
}

/// A text is final although two readings of it have come to their end.
TEST(Automaton, ReadingsMayEndTogether) {
  ProgramBuilder builder;
  const RuleId first = builder.rule(builder.literal("ab", kReturn));
  const RuleId second =
      builder.rule(builder.bytes(byte_range('a', 'c'), builder.literal("b", kReturn)));
  const RuleId root =
      builder.rule(builder.split({builder.call(first, kReturn), builder.call(second, kReturn)}));
  const Program program = std::move(builder).build(root);
  Automaton automaton(program);
  EXPECT_TRUE(automaton.final(read(automaton, "ab", automaton.start())));
}

TEST(Automaton, BytesThatNoSetTellsApartAreOneClass) {
  ProgramBuilder builder;
  const ByteSet letters = byte_range('a', 'z');
  const RuleId root =
      builder.rule(builder.bytes(letters, builder.bytes(letters & ~bytes_of("q"), kReturn)));
  const Program program = std::move(builder).build(root);
  EXPECT_EQ(program.representatives.size(), 3u);  // q, other letters, the rest
  Automaton automaton(program);
  for (int byte = 0; byte < 256; ++byte) {
    const auto text = std::string("q") + static_cast<char>(byte);
    const bool valid = byte >= 'a' && byte <= 'z' && byte != 'q';
    EXPECT_EQ(read(automaton, text, automaton.start()) != Automaton::kDead, valid) << byte;
  }
}

TEST(Automaton, AnotherGoesOnWhenOneIsFull) {
  const Grammar grammar =
      Grammar::from_json_schema(R"({"items": {"items": {"maxLength": 20000}, "maxItems": 3}})");
  Automaton automaton(grammar.program());
  Automaton::State state = read(automaton, R"([[],["","\u00e)", automaton.start());
  EXPECT_FALSE(automaton.full());
  state = read(automaton, "9", state);
  int length = 1;
  for (; !automaton.full(); ++length) {
    ASSERT_LT(length, 20'000);
    state = read(automaton, "x", state);
  }
  Automaton other(grammar.program());
  const Automaton::State adopted = other.adopt(automaton, state);
  EXPECT_FALSE(other.full());
  EXPECT_EQ(other.adopt(automaton, state), adopted);
  const std::string rest(static_cast<size_t>(20'000 - length), 'x');
  const Automaton::State last = read(other, rest, adopted);
  EXPECT_EQ(read(other, "x", last), Automaton::kDead);
  EXPECT_TRUE(other.final(read(other, R"(", "y"]])", last)));
  EXPECT_EQ(read(other, R"(", "y", "")", last), Automaton::kDead);
}

}  // namespace
}  // namespace evo::grammar
