#include "base/process/child_process.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"

namespace evo {
namespace {

ChildResult shell(const std::string& line, const ChildOptions& options = {}) {
  return run_child({"/bin/sh", "-c", line}, options);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(RunChild, OutputOfASuccess) {
  const ChildResult result = shell("echo out; echo error >&2");
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.failure, "");
  EXPECT_EQ(result.exit_status, 0);
}

TEST(RunChild, FailureIsTheLastMessage) {
  const ChildResult result = shell("echo first >&2; echo last >&2; exit 3");
  EXPECT_EQ(result.failure, "last");
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_EQ(shell("exit 4").failure, "exit status 4");
  EXPECT_EQ(shell("exec /nowhere/program 2> /dev/null").exit_status, 127);
}

TEST(RunChild, LinesAreHandedOn) {
  std::vector<std::string> lines;
  ChildOptions options;
  options.on_line = [&](std::string_view line) {
    lines.emplace_back(line);
    return line == "expected";
  };
  EXPECT_EQ(shell("echo fault >&2; echo expected >&2; exit 1", options).failure, "fault");
  EXPECT_EQ(lines, (std::vector<std::string>{"fault", "expected", ""}));
}

TEST(RunChild, InputLargerThanAPipe) {
  ChildOptions options;
  options.input = std::string(1 << 20, 'x') + "end";
  EXPECT_EQ(shell("wc -c", options).output, "1048579\n");
  EXPECT_EQ(shell("exit 0", options).exit_status, 0) << "input that nobody reads";
  EXPECT_EQ(shell("wc -c").output, "0\n") << "no input";
}

TEST(RunChild, JoinedStreamsKeepTheirOrder) {
  ChildOptions options;
  options.join_streams = true;
  EXPECT_EQ(shell("echo 1; echo 2 >&2; echo 3", options).output, "1\n2\n3\n");
}

TEST(RunChild, TimeLimitEndsTheWholeGroup) {
  ChildOptions options;
  options.time_limit = 0.3;
  const auto start = std::chrono::steady_clock::now();
  const ChildResult result = shell("trap '' TERM; sleep 60 & sleep 60", options);
  EXPECT_EQ(result.failure, "took more than 0.3 s");
  EXPECT_EQ(result.exit_status, -1);
  EXPECT_LT(seconds_since(start), 10) << "far from the 60 s that it would take";
}

TEST(RunChild, TimeLimitCountsFromReadiness) {
  ChildOptions options;
  options.time_limit = 1;
  const std::string task = "sleep 1.5; echo ready; echo done";
  EXPECT_EQ(shell(task, options).failure, "took more than 1 s");
  options.ready = "ready\n";
  const ChildResult result = shell(task, options);
  EXPECT_EQ(result.failure, "");
  EXPECT_EQ(result.output, "ready\ndone\n");
  EXPECT_EQ(shell("echo ready; sleep 60", options).failure, "took more than 1 s");
}

TEST(RunChild, EndlessOutputDoesNotHideTheClock) {
  ChildOptions options;
  options.time_limit = 0.3;
  const ChildResult result = shell("exec yes", options);
  EXPECT_EQ(result.failure, "took more than 0.3 s");
  EXPECT_EQ(result.output.size(), 64u * 1024) << "the end is kept";
}

TEST(RunChild, OutputLimitKeepsTheBeginning) {
  ChildOptions options;
  options.output_limit = 1000;
  options.time_limit = 60;
  const ChildResult result = shell("echo begin; exec yes", options);
  EXPECT_EQ(result.failure, "printed more than 1000 bytes");
  EXPECT_EQ(result.output.size(), 1000u);
  EXPECT_TRUE(result.output.starts_with("begin\ny\n"));
  // A program that ends by itself may not have printed more either.
  EXPECT_EQ(shell("head -c 1001 /dev/zero", options).failure, "printed more than 1000 bytes");
  EXPECT_EQ(shell("head -c 1000 /dev/zero", options).failure, "");
}

TEST(RunChild, ResourceLimitsBind) {
  ChildOptions options;
  options.limits = {{RLIMIT_NOFILE, 17, 19}, {RLIMIT_CORE, 0, 0}};
  EXPECT_EQ(shell("ulimit -S -n; ulimit -H -n; ulimit -c", options).output, "17\n19\n0\n");
}

TEST(RunChild, DistrustedIsNobodyAndFirstToEnd) {
  ChildOptions options;
  options.distrusted = true;
  const ChildResult result = shell("id -u; cat /proc/self/oom_score_adj", options);
  const unsigned expected = geteuid() == 0 ? 65534 : geteuid();
  EXPECT_EQ(result.output, std::to_string(expected) + "\n1000\n");
  EXPECT_EQ(shell("id -u").output, std::to_string(geteuid()) + "\n") << "only if asked for";
}

TEST(LastLine, IsTheLastThatIsNotBlank) {
  EXPECT_EQ(last_line("a\nb\n \n"), "b");
  EXPECT_EQ(last_line("a"), "a");
  EXPECT_EQ(last_line(" \n"), "");
}

}  // namespace
}  // namespace evo
