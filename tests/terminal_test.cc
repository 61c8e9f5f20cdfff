// The program at a terminal: progress, colours, and a chat with somebody who types.
#include "terminal.h"

#include <sys/stat.h>

#include "base/terminal/text_width.h"
#include "decode/trace/trace_testing.h"

namespace evo::testing {
namespace {

class AtTerminal : public ProgramTest {
 protected:
  /// Arguments of a run that takes some seconds, and so shows progress. It learns next to nothing:
  /// however many steps a machine makes, it does not diverge.
  [[nodiscard]] std::string long_run(const std::string& more,
                                     const std::string& minutes = "0.08") const {
    return std::string("exec $EVO train ") + kSettings + " --data " + shared("text.txt") +
           " --out " + path("run") + " --minutes " + minutes +
           " --set log_every=1 --set learning_rate=1e-6 " + more;
  }
  [[nodiscard]] std::string trace_file() const {
    const decode::Trace trace = small_trace();
    std::string text = decode::trace_line(trace.header);
    for (const decode::TracePass& pass : trace.passes) text += decode::trace_line(pass);
    write_bytes(path("trace"), text);
    return path("trace");
  }
  /// Commands for colours and the like in a replay, with this environment and these options.
  [[nodiscard]] size_t colors(const std::string& environment, const std::string& options) const {
    Terminal terminal(
        environment + " exec $EVO generate --replay " + trace_file() + " --pace 1000 " + options,
        80);
    EXPECT_EQ(terminal.wait(), 0) << terminal.written();
    EXPECT_TRUE(terminal.screen().shows("and")) << terminal.screen().text();
    return terminal.screen().colors();
  }
};

/// The lines of progress that were written.
std::vector<std::string> progress_lines(std::string_view written) {
  constexpr std::string_view kEnd = "\x1b[J\r";
  std::vector<std::string> lines;
  for (size_t end; (end = written.find(kEnd)) != std::string_view::npos;) {
    const std::string_view before = written.substr(0, end);
    const size_t begin = before.find_last_of("\r\n");
    lines.emplace_back(before.substr(begin == std::string_view::npos ? 0 : begin + 1));
    written.remove_prefix(end + kEnd.size());
  }
  return lines;
}

TEST_F(AtTerminal, ProgressNeverWraps) {
  for (const size_t width : {80, 40, 20}) {
    Terminal terminal(long_run("--set sample_every=0"), width);
    EXPECT_EQ(terminal.wait(), 0) << terminal.written();
    const std::vector<std::string> lines = progress_lines(terminal.written());
    EXPECT_GT(lines.size(), 2) << terminal.written();
    size_t longest = 0;
    for (const std::string& line : lines) longest = std::max(longest, text_columns(line));
    EXPECT_LT(longest, width);
    EXPECT_GE(longest, 14) << "training  10%";
    EXPECT_FALSE(terminal.screen().shows("training ")) << "it is taken away at the end";
    fs::remove_all(path("run"));
  }
}

TEST_F(AtTerminal, ProgressFollowsTheTerminalsWidth) {
  Terminal terminal(long_run("--set sample_every=0", "30"), 80);  // ends with the test
  const auto lines = [&] { return progress_lines(terminal.written()).size(); };
  ASSERT_TRUE(terminal.wait_for("training")) << terminal.written();
  for (const size_t width : {30, 100, 16}) {
    terminal.resize(width);
    const size_t before = lines();
    ASSERT_TRUE(terminal.wait_until([&] { return lines() > before + 1; })) << terminal.written();
    size_t shown = 0;
    for (const std::string& row : terminal.screen().rows()) shown += row.starts_with("training");
    EXPECT_EQ(shown, 1) << terminal.screen().text();
    EXPECT_LT(text_columns(progress_lines(terminal.written()).back()), width);
  }
}

TEST_F(AtTerminal, SamplesStandOnLinesOfTheirOwn) {
  Terminal terminal(long_run("--set sample_every=40 --sample-prompt The"), 80);
  EXPECT_EQ(terminal.wait(), 0);
  size_t samples = 0;
  for (size_t at = 0; (at = terminal.written().find("step ", at)) != std::string::npos; ++at) {
    ++samples;
    const std::string before = terminal.written().substr(0, at);
    // Of a line that was taken away nothing is left.
    EXPECT_TRUE(before.ends_with("\n") || before.ends_with("\x1b[J")) << before;
  }
  EXPECT_GT(samples, 1) << terminal.written();
  EXPECT_FALSE(terminal.screen().shows("leftstep"));
}

TEST_F(AtTerminal, QuietMeansQuiet) {
  Terminal terminal(long_run("--quiet"), 80);
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_EQ(terminal.written(), "");
}

TEST_F(AtTerminal, ProgressIsPlainLinesElsewhere) {
  Terminal dumb("TERM=dumb; export TERM; " + long_run("--set sample_every=0"), 80);
  EXPECT_EQ(dumb.wait(), 0);
  EXPECT_EQ(dumb.written().find('\x1b'), std::string::npos) << dumb.written();
}

TEST_F(AtTerminal, ColoursAreOnlyWhereTheyAreWanted) {
  EXPECT_GT(colors("", ""), 0);
  EXPECT_EQ(colors("NO_COLOR=1", ""), 0);
  EXPECT_GT(colors("NO_COLOR=", ""), 0) << "empty: as if it were not there";
  EXPECT_EQ(colors("TERM=dumb", ""), 0);
  EXPECT_EQ(colors("", "--color never"), 0);
  EXPECT_GT(colors("NO_COLOR=1", "--color always"), 0);
  EXPECT_GT(colors("", "--color auto"), 0);
  expect_refusal("generate --replay x --color sometimes", 2,
                 {"--color", "auto or always or never", "sometimes"});
  const Outcome piped = run("generate --replay " + trace_file());
  EXPECT_EQ(piped.out.find('\x1b'), std::string::npos) << piped.out;
  const Outcome dumb = run_shell("TERM=dumb $EVO generate --replay " + trace_file());
  EXPECT_EQ(dumb.out, piped.out);
}

TEST_F(AtTerminal, LiveTextIsWhole) {
  const std::vector<std::string> parts = {" cat sat",           " on the", " mat.\n",
                                          "\u4e2d\u6587\u5b57", " caf",    "e\u0301",
                                          " \U0001F600",        ", and"};
  decode::Trace trace = small_trace();
  trace.header.prompt = "The";
  trace.header.suffix = " the end";
  std::string text = trace.header.prompt, file = decode::trace_line(trace.header);
  for (int64_t pass = 0; pass < 40; ++pass) {
    decode::TracePass one = trace.passes[0];
    one.pass = pass;
    one.text = parts[static_cast<size_t>(pass) % parts.size()];
    text += one.text;
    file += decode::trace_line(one);
  }
  write_bytes(path("trace"), file);
  Screen expected(10'000, 50);
  expected.print(text + trace.header.suffix);
  for (const size_t width : {80, 40, 20, 7}) {
    for (const size_t height : {50, 4}) {
      Terminal terminal("exec $EVO generate --quiet --pace 1000 --replay " + path("trace"), width,
                        height);
      EXPECT_EQ(terminal.wait(), 0);
      EXPECT_EQ(terminal.screen().text(), expected.text()) << width << " x " << height;
    }
  }
}

/// Messages of the conversation that a chat has saved.
nlohmann::json messages_in(const std::string& file) {
  return nlohmann::json::parse(read_bytes(file)).at("messages");
}

bool at_prompt(Terminal& terminal) {
  return terminal.wait_until([&] { return terminal.written().find("> ") != std::string::npos; });
}

/// The same, and the line is edited by the program, if this build can do that.
bool at_editor(Terminal& terminal) {
  return at_prompt(terminal) &&
         (!EVO_HAS_EDIT || terminal.wait_until([&] { return terminal.reads_keys(); }));
}

TEST_F(AtTerminal, CtrlCEndsAWriterThatWaitsForTheTerminal) {
  const std::string slow = model("long", "--set max_position_embeddings=20000");
  Terminal terminal(
      "exec $EVO generate " + slow + " --prompt cat --mode ar --temperature 0 --max-tokens 19000",
      80);
  ASSERT_TRUE(terminal.wait_until([&] { return terminal.written().size() > 500; }));
  terminal.let_wait();
  terminal.type("\x03");
  EXPECT_EQ(terminal.wait(), 130);
  EXPECT_FALSE(terminal.screen().shows("cannot write")) << terminal.screen().text();
}

class ChatAtTerminal : public ProgramTest {
 protected:
  [[nodiscard]] std::string chat(const std::string& more = "") const {
    return "XDG_STATE_HOME=" + path("state") + " exec $EVO chat " +
           model("roomy", "--set max_position_embeddings=512") + " --max-tokens 2 " + more;
  }
  [[nodiscard]] std::string history_file() const { return path("state/evo/chat-history"); }

  /// What a person who types these keys has said.
  std::vector<std::string> said(const std::string& keys, size_t width = 80,
                                const std::string& more = "") const {
    Terminal terminal(chat(more), width);
    EXPECT_TRUE(at_editor(terminal)) << terminal.written();
    terminal.type(keys);
    terminal.type("/save " + path("saved") + "\r/exit\r");
    EXPECT_EQ(terminal.wait(), 0) << terminal.written();
    EXPECT_FALSE(terminal.screen().pastes_are_marked());
    std::vector<std::string> contents;
    if (!fs::exists(path("saved"))) return contents;
    for (const auto& message : messages_in(path("saved"))) {
      if (message.at("role") == "user") contents.push_back(message.at("content"));
    }
    return contents;
  }
};

using Turns = std::vector<std::string>;
constexpr const char *kUp = "\x1b[A", *kLeft = "\x1b[D", *kRubOut = "\x7f";

TEST_F(ChatAtTerminal, LinesCanBeChanged) {
  if (!EVO_HAS_EDIT) GTEST_SKIP() << "this build has no libedit";
  EXPECT_EQ(said(std::string("ct") + kLeft + "a\r"), Turns{"cat"});
  EXPECT_EQ(said(std::string("caf\u00e9") + kRubOut + "e\r"), Turns{"cafe"});
  EXPECT_EQ(said("\u4e2d\u6587\U0001F600\r"), Turns{"\u4e2d\u6587\U0001F600"});
  std::string line = "a line that is much longer than the terminal is wide";
  EXPECT_EQ(said(line + kRubOut + kRubOut + "\r", 20), Turns{line.substr(0, line.size() - 2)});
}

TEST_F(ChatAtTerminal, EarlierTurnsComeBack) {
  if (!EVO_HAS_EDIT) GTEST_SKIP() << "this build has no libedit";
  EXPECT_EQ(said(std::string("cat\rdog\r") + kUp + kUp + "\r"), (Turns{"cat", "dog", "cat"}));
  EXPECT_EQ(said("cat\\\rdog\r"), Turns{"cat\ndog"});
  // Of another chat: /exit, /save, then what was said.
  EXPECT_EQ(said(std::string() + kUp + kUp + kUp + "\r"), Turns{"cat\ndog"});
  struct stat status {};
  ASSERT_EQ(stat(history_file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600);
  ASSERT_EQ(stat(path("state/evo").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700);
}

TEST_F(ChatAtTerminal, HistoryCanBeOff) {
  EXPECT_EQ(said("cat\r", 80, "--no-history"), Turns{"cat"});
  EXPECT_FALSE(fs::exists(history_file()));
}

TEST_F(ChatAtTerminal, PastedLinesAreOneMessage) {
  if (!EVO_HAS_EDIT) GTEST_SKIP() << "this build has no libedit";
  for (const size_t width : {80, 20}) {
    EXPECT_EQ(said("so: \x1b[200~one\rtwo\rthree\nfour\x1b[201~!\r", width),
              Turns{"so: one\ntwo\nthree\nfour!"});
  }
  EXPECT_EQ(said("\x1b[200~\x1b[201~cat\r"), Turns{"cat"});
}

TEST_F(ChatAtTerminal, CtrlCGivesALineUpAndASecondOneEnds) {
  Terminal terminal(chat(), 80);
  ASSERT_TRUE(at_editor(terminal));
  terminal.type("half a line\x03");
  ASSERT_TRUE(terminal.wait_for("Ctrl-C again")) << terminal.written();
  terminal.type("cat\r/save " + path("saved") + "\r");
  ASSERT_TRUE(terminal.wait_for("saved as")) << terminal.written();
  EXPECT_EQ(messages_in(path("saved"))[0].at("content"), "cat");
  terminal.type("\x03");
  ASSERT_TRUE(terminal.wait_until([&] {
    return terminal.written().rfind("Ctrl-C again") != terminal.written().find("Ctrl-C again");
  }));
  terminal.type("\x03");
  EXPECT_EQ(terminal.wait(), 0);
}

TEST_F(ChatAtTerminal, CtrlDEnds) {
  Terminal terminal(chat(), 40);
  ASSERT_TRUE(at_editor(terminal));
  terminal.type("\x04");
  EXPECT_EQ(terminal.wait(), 0);
}

TEST_F(ChatAtTerminal, CtrlCStopsTheAnswer) {
  const std::string slow = model("long", "--set max_position_embeddings=20000");
  for (const bool terminal_is_slow : {false, true}) {
    Terminal terminal("XDG_STATE_HOME=" + path("state") + " exec $EVO chat " + slow +
                          " --mode ar --temperature 0 --max-tokens 19000",
                      80);
    ASSERT_TRUE(at_editor(terminal));
    terminal.type("cat\r");
    ASSERT_TRUE(terminal.wait_until([&] { return terminal.written().size() > 500; }));
    if (terminal_is_slow) terminal.let_wait();
    terminal.type("\x03");
    ASSERT_TRUE(terminal.wait_for("[ar: ")) << terminal.written();
    terminal.type("/exit\r");
    EXPECT_EQ(terminal.wait(), 0);
  }
}

TEST_F(ChatAtTerminal, DumbTerminalsHaveLinesAsTheyAre) {
  Terminal terminal("TERM=dumb " + chat(), 80);
  ASSERT_TRUE(at_prompt(terminal));
  terminal.type("cat\n/save " + path("saved") + "\n/exit\n");
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_EQ(terminal.written().find('\x1b'), std::string::npos) << terminal.written();
  EXPECT_EQ(messages_in(path("saved"))[0].at("content"), "cat");
}

}  // namespace
}  // namespace evo::testing
