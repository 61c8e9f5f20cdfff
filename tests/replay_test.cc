// What live generation and replays show on standard output.
#include "cli/generate/replay.h"

#include <regex>

#include "base/testing.h"
#include "cli/generate/live_view.h"
#include "decode/trace/trace_testing.h"

namespace evo::cli {
namespace {

using testing::read_bytes;
using testing::TemporaryFolder;
using testing::trace_token;

/// Without what moves the cursor, clears or colours.
std::string visible(const std::string& frame) {
  static const std::regex kEscape("\x1b(\\[[0-9;]*[A-Za-z]|[78D])");
  return std::regex_replace(frame, kEscape, "");
}

std::string shown(LiveView& view, std::string_view text, std::vector<decode::TraceToken> tokens,
                  size_t width) {
  return visible(view.frame(text, tokens, "", width));
}

TEST(LiveView, TextThenTokensColouredByMaturity) {
  LiveView view(true, true);
  const std::string frame =
      view.frame("The",
                 std::vector{trace_token(0, " cat", 1, 1), trace_token(1, " sat", 1, 0.5),
                             trace_token(2, " on", 1, 0)},
                 "", 80);
  // Green, yellow and red of the 6x6x6 cube; the cursor returns to the end of the text.
  EXPECT_EQ(frame,
            "\x1b[JThe\x1b\x37\x1b[38;5;46m cat\x1b[0m\x1b[38;5;226m sat\x1b[0m"
            "\x1b[38;5;196m on\x1b[0m\x1b\x38");
}

TEST(LiveView, StatusStandsOnTheLineBelow) {
  LiveView view(true, true);
  EXPECT_EQ(view.frame("a", {}, "pass 3", 80),
            "\x1b[Ja\x1b\x44\x1b[A\x1b\x37\r\n\x1b[2mpass 3\x1b[0m\x1b\x38");
  LiveView narrow(true, true);
  EXPECT_EQ(visible(narrow.frame("", {}, "a long status", 7)), "\r\na long") << "it must not wrap";
}

TEST(LiveView, TokensNeverWrap) {
  const std::vector<decode::TraceToken> tokens = {trace_token(0, "one", 1, 1),
                                                  trace_token(1, "two", 1, 1)};
  LiveView view(true, true);
  EXPECT_EQ(shown(view, "1234", tokens, 11), "1234onetwo");  // the last column stays free
  EXPECT_EQ(shown(view, "5", tokens, 11), "5one");
  EXPECT_EQ(shown(view, "678", tokens, 11), "678");
  EXPECT_EQ(shown(view, "90ab", tokens, 11), "90abonetwo")
      << "twelve columns: one on the next line";
  EXPECT_EQ(shown(view, "c\nd", tokens, 11), "c\ndonetwo");
  LiveView characters(true, true);
  EXPECT_EQ(shown(characters, "\u20AC\u20AC\u20AC", tokens, 10), "\u20AC\u20AC\u20AConetwo");
  EXPECT_EQ(shown(characters, "\u4e2d", tokens, 10), "\u4e2done") << "two columns";
}

TEST(LiveView, TextCannotCommandTheTerminal) {
  LiveView view(true, true);
  const std::string frame =
      view.frame("a\x1b[2J\b\x7f\n\tb", std::vector{trace_token(0, "\x1b]0;\n", 1, 1)}, "", 80);
  EXPECT_EQ(visible(frame), "a.[2J..\n        b.]0;.");
}

std::filesystem::path write_trace(const TemporaryFolder& folder, const decode::Trace& trace) {
  std::string text = decode::trace_line(trace.header);
  for (const decode::TracePass& pass : trace.passes) text += decode::trace_line(pass);
  testing::write_bytes(folder / "trace.jsonl", text);
  return folder / "trace.jsonl";
}

/// What replay() prints where standard output is no terminal.
std::string printed(const ReplayRequest& request) {
  ::testing::internal::CaptureStdout();
  replay(request);
  return ::testing::internal::GetCapturedStdout();
}

TEST(Replay, OneLinePerPassWithoutATerminal) {
  const TemporaryFolder folder;
  const std::string file = write_trace(folder, testing::small_trace());
  // A hundred seconds per pass: without a terminal nothing waits.
  EXPECT_EQ(printed({.file = file, .pace = 0.01, .map = ""}),
            "pass 0, 1.00 tokens per forward pass: \"The\"; then \" cat\" 0.99, \" sat\" 0.01\n"
            "pass 1, 1.50 tokens per forward pass: \" cat\\nand\"; then \"<\\\"d\\\">\" 0.50\n");
}

TEST(Replay, LinesHoldPrintableTextOnly) {
  decode::Trace trace = testing::small_trace();
  trace.passes[1].text = "\x1b[2J\ttab \\ \x7f\u20AC";
  trace.passes[1].tokens.clear();
  EXPECT_EQ(replay_line(trace.header, trace.passes),
            "pass 1, 1.50 tokens per forward pass: \"\\x1b[2J\\x09tab \\\\ \\x7f\u20AC\"");
}

TEST(Replay, DiffusionLeavesOutWhatWasCommitted) {
  decode::Trace trace = testing::small_trace();
  trace.header.mode = "diffusion";
  trace.passes.resize(1);
  EXPECT_EQ(replay_line(trace.header, trace.passes),
            "pass 0, 1.00 tokens per forward pass: \"The\"; then \" sat\" 0.01");
}

TEST(Replay, DrawsTheMap) {
  const TemporaryFolder folder;
  const std::string file = write_trace(folder, testing::small_trace());
  printed({.file = file, .map = (folder / "map.svg").string()});
  EXPECT_NE(read_bytes(folder / "map.svg").find("Maturity map: mode exact"), std::string::npos);
}

TEST(Replay, ADamagedTraceLeavesTheMapAsItWas) {
  const TemporaryFolder folder;
  testing::write_bytes(folder / "map.svg", "old");
  testing::write_bytes(folder / "trace.jsonl", "{}\n");
  testing::expect_error(
      [&] {
        replay({.file = (folder / "trace.jsonl").string(), .map = (folder / "map.svg").string()});
      },
      {"trace.jsonl", "not a trace"});
  EXPECT_EQ(read_bytes(folder / "map.svg"), "old");
}

}  // namespace
}  // namespace evo::cli
