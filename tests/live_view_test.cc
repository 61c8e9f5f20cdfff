// What live generation shows, looked at through a model of a terminal.
#include "cli/generate/live_view.h"

#include "base/random.h"
#include "base/testing.h"
#include "decode/trace/trace_testing.h"
#include "screen.h"

namespace evo::cli {
namespace {

using testing::Screen;
using testing::trace_token;

/// Parts of texts, of one, two and no columns; what a tokenizer may cut apart is apart.
const std::vector<std::string> kPieces = {"a",
                                          "word",
                                          " ",
                                          "\u00e9",
                                          "e",
                                          "\u0301",
                                          "\u4e2d",
                                          "\u6587\u5b57",
                                          "\uac00",
                                          ", ",
                                          "\n",
                                          "\u20ac",
                                          "\U0001F600",
                                          " long text",
                                          "\uff21b",
                                          "\r\n",
                                          "x\u0301\u0302"};

/// What may follow `text`: an accent needs a letter.
std::string random_piece(Random& random, std::string_view text) {
  const std::string& piece = kPieces[random.below(kPieces.size())];
  const bool nothing_before = text.empty() || text.ends_with('\n');
  return piece == "\u0301" && nothing_before ? "o" : piece;
}
std::string random_part(Random& random, std::string text, uint64_t most) {
  const size_t before = text.size();
  for (uint64_t i = random.below(most + 1); i > 0; --i) text += random_piece(random, text);
  return text.substr(before);
}

/// The text as a screen has it: lines without blanks at their ends.
std::string as_shown(std::string_view text) {
  std::string result;
  for (const char c : std::string(text) + "\n") {
    if (c == '\r') continue;
    if (c == '\n') result.erase(result.find_last_not_of(' ') + 1);
    result += c;
  }
  while (result.ends_with("\n\n")) result.pop_back();
  return result;
}

/// Tokens that a model might think of next, more than fit.
std::vector<decode::TraceToken> random_tokens(Random& random) {
  std::vector<decode::TraceToken> tokens;
  for (int i = 0; i < 12; ++i) tokens.push_back(trace_token(i, random_piece(random, ""), 1, 0.5));
  return tokens;
}

struct Show {
  std::string text;  // what was given
  Screen screen;
};

/// A random text in random parts, followed by random tokens, with or without a line of status.
Show show_random(uint64_t seed, size_t width, size_t height, const std::string& status) {
  Random random(seed);
  Show show{"", Screen(width, height)};
  LiveView view(true, true);
  for (int frame = 0; frame < 40; ++frame) {
    const std::string part = random_part(random, show.text, 5);
    show.text += part;
    show.screen.print(view.frame(part, random_tokens(random), status, width));
  }
  const std::string last = random_piece(random, show.text);
  show.text += last;
  show.screen.print(view.last_frame(last, width));
  return show;
}

TEST(LiveView, LosesNoLetterAtAnyWidth) {
  for (size_t width = 3; width <= 90; ++width) {
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const Show show = show_random(seed, width, 50, seed % 2 == 0 ? "" : "pass 3, 1.5 tokens");
      ASSERT_EQ(show.screen.text(), as_shown(show.text)) << "width " << width << ", seed " << seed;
    }
  }
}

TEST(LiveView, LosesNoLetterOfTextsLongerThanTheScreen) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Show show = show_random(seed, 10, 3, seed % 2 == 0 ? "" : "pass 3");
    ASSERT_EQ(show.screen.text(), as_shown(show.text)) << "seed " << seed;
  }
}

/// Every text stands in the last column in one of the frames.
TEST(LiveView, LosesNoLetterInTheLastColumn) {
  for (const std::string text :
       {"abcdefghijklmnopqrstuvwxyz", "\u4e2d\u6587\u5b57\uac00\uff21\u4e2d"}) {
    for (size_t width : {5, 6, 20}) {
      LiveView view(true, true);
      Screen screen(width, 50);
      for (std::string_view rest = text; !rest.empty();) {
        const size_t bytes = static_cast<unsigned char>(rest[0]) < 0x80 ? 1 : 3;
        screen.print(view.frame(rest.substr(0, bytes), {}, "status", width));
        rest.remove_prefix(bytes);
        // All but the character that would fill a line.
        EXPECT_TRUE(as_shown(text).starts_with(screen.rows()[0])) << screen.text();
      }
      screen.print(view.last_frame("", width));
      EXPECT_EQ(screen.text(), as_shown(text)) << width;
    }
  }
}

/// An accent that comes after its letter, which fills the line.
TEST(LiveView, AccentsFindTheirLetters) {
  for (size_t width = 3; width < 9; ++width) {
    LiveView view(true, true);
    Screen screen(width, 50);
    for (const char* part : {"abcde", "\u0301", "f", "\u0302gh"}) {
      screen.print(view.frame(part, {}, "", width));
    }
    screen.print(view.last_frame("", width));
    EXPECT_EQ(screen.text(), "abcde\u0301f\u0302gh\n") << width;
  }
}

/// Whatever a terminal does with lines when it gets wider: nothing that was there goes.
TEST(LiveView, LosesNoLetterWhenTheTerminalIsResized) {
  for (const bool reflow : {false, true}) {
    for (uint64_t seed = 0; seed < 300; ++seed) {
      Random random(seed);
      size_t width = 3 + random.below(30);
      Screen screen(width, 50);
      LiveView view(true, true);
      std::string text;
      for (int frame = 0; frame < 30; ++frame) {
        const std::string part = random_part(random, text, 3);
        text += part;
        screen.print(
            view.frame(part, random_tokens(random), frame % 2 == 0 ? "" : "status", width));
        if (random.below(5) > 0) continue;
        // Lines that are cut off lose letters by themselves.
        width = reflow ? 3 + random.below(40) : width + random.below(9);
        screen.resize(width, reflow);
      }
      screen.print(view.last_frame("", width));
      std::string shown = screen.text(), given = as_shown(text);
      if (!reflow) {  // lines that are longer now do not go on at the edge
        std::erase(shown, ' ');
        std::erase(given, ' ');
      }
      ASSERT_EQ(shown, given) << "reflow " << reflow << ", seed " << seed;
    }
  }
}

TEST(LiveView, DisputedCharactersStopGuessing) {
  LiveView view(true, true);
  const std::vector<decode::TraceToken> tokens = {trace_token(0, "one", 1, 1)};
  // Some terminals show this family as one picture, some as three.
  EXPECT_EQ(view.frame("\U0001F468\u200D\U0001F469", tokens, "status", 20),
            "\x1b[J\U0001F468\u200D\U0001F469");
  EXPECT_EQ(view.frame(" and so on", tokens, "", 20), " and so on");
  EXPECT_NE(view.frame("\nafter", tokens, "", 20).find("one"), std::string::npos)
      << "at a line end it is known again where the cursor is";
  EXPECT_EQ(view.frame("x", std::vector{trace_token(0, "\ufe0f", 1, 1)}, "", 20), "\x1b[Jx")
      << "tokens of such characters are not shown";
  EXPECT_EQ(view.frame("y", std::vector{trace_token(0, "\u0301", 1, 1)}, "", 20), "y")
      << "it would change the letter before it for good";
}

TEST(LiveView, TabsAreBlanks) {
  const auto line = [](std::string_view text, size_t width) {
    LiveView view(true, true);
    Screen screen(width, 5);
    screen.print(view.frame(text, {}, "", width));
    screen.print(view.last_frame("", width));
    return screen.rows()[0];
  };
  EXPECT_EQ(line("a\tb", 20), "a       b");
  EXPECT_EQ(line("a\tb", 5), "a   b") << "no further than the edge";
  EXPECT_EQ(line("\t\tb", 20), "                b");
}

TEST(LiveView, NoColoursNoStyles) {
  LiveView view(true, false);
  Screen screen(20, 5);
  screen.print(view.frame("The", std::vector{trace_token(0, " cat", 1, 1)}, "status", 20));
  EXPECT_EQ(screen.text(), "The cat\nstatus\n");
  EXPECT_EQ(screen.colors(), 0);
}

TEST(LiveView, OnlyTextForDumbTerminals) {
  LiveView view(false, false);
  const std::vector<decode::TraceToken> tokens = {trace_token(0, " cat", 1, 1)};
  EXPECT_EQ(view.frame("T\x1bhe\n", tokens, "status", 20), "T.he\n");
  EXPECT_EQ(view.frame(std::string(20, 'x'), tokens, "status", 20), std::string(20, 'x'));
  EXPECT_EQ(view.last_frame("end", 20), "end\n");
}

}  // namespace
}  // namespace evo::cli
