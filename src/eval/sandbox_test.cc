// The sandbox against programs that try to get out of it, to harm the machine, or to seem to pass.
#include "eval/sandbox.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/testing.h"

namespace evo::eval {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

class Sandbox : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    if (!sandbox_available(why)) GTEST_SKIP() << why;
  }

  static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  /// Processes of this machine whose command line has `mark` in it.
  static int processes_with(const std::string& mark) {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "cmdline", std::ios::binary);
      const std::string line{std::istreambuf_iterator<char>(file), {}};
      count += line.find(mark) != std::string::npos ? 1 : 0;
    }
    return count;
  }

  /// What was killed may take a moment to go.
  static void expect_gone(const std::string& mark) {
    for (int i = 0; i < 50 && processes_with(mark) > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    EXPECT_EQ(processes_with(mark), 0);
  }

  /// The program must end with an exception of which `part` is in the output.
  static void expect_raises(const std::string& program, const std::string& part) {
    const SandboxResult result = run_python(program);
    EXPECT_FALSE(result.passed);
    EXPECT_NE(result.output.find(part), std::string::npos) << result.failure << result.output;
  }
};

TEST_F(Sandbox, PassesWhatReachesItsEnd) {
  const SandboxResult result = run_python(
      "import sys\nprint('a')\nprint('b', file=sys.stderr)\n"
      "assert 1 + 1 == 2");
  EXPECT_TRUE(result.passed) << result.failure;
  EXPECT_EQ(result.failure, "");
  EXPECT_EQ(result.output, "b\na\n") << "Python writes errors at once and output at the end";
}

TEST_F(Sandbox, FailsWhatRaisesOrIsNoProgram) {
  const SandboxResult wrong = run_python("assert 1 == 2, 'not equal'");
  EXPECT_FALSE(wrong.passed);
  EXPECT_EQ(wrong.failure, "exit status 1: AssertionError: not equal");
  EXPECT_FALSE(run_python("def f(:").passed);
  EXPECT_FALSE(run_python(std::string("x = 1\0", 6)).passed);
  EXPECT_FALSE(run_python("x = '\xFF'").passed);
  EXPECT_TRUE(run_python("").passed);
}

TEST_F(Sandbox, NamespaceIsThatOfTheHarness) {
  // evaluate's code_eval calls exec(program, {}): what stands under "__main__" is not run.
  EXPECT_TRUE(run_python("assert __name__ == 'builtins'").passed);
  EXPECT_TRUE(run_python("if __name__ == '__main__':\n    raise ValueError").passed);
  EXPECT_TRUE(run_python("import math\ndef f():\n    return math.pi\nassert f() > 3").passed);
}

TEST_F(Sandbox, LeavingEarlyIsNotPassing) {
  for (const char* program :
       {"import sys\nsys.exit(0)\nassert False", "raise SystemExit", "import os\nos._exit(0)",
        "import os\nos.kill(os.getpid(), 9)", "exit()", "quit(0)",
        "import os\nprint('ready', flush=True)\nos._exit(0)",
        "import os\nos.execv('/bin/true', ['true'])"}) {
    const SandboxResult result = run_python(program);
    EXPECT_FALSE(result.passed) << program;
    EXPECT_NE(result.failure, "") << program;
  }
  EXPECT_EQ(run_python("import sys\nsys.exit(0)").failure,
            "ended before its last line, with exit status 0");
}

TEST_F(Sandbox, WorkAfterTheEndChangesNothing) {
  EXPECT_TRUE(run_python("import atexit, os\natexit.register(os._exit, 3)").passed);
  EXPECT_TRUE(run_python("import threading, time\n"
                         "threading.Thread(target=time.sleep, args=(60,)).start()")
                  .passed);
}

TEST_F(Sandbox, EndlessLoopsEnd) {
  SandboxLimits limits;
  limits.cpu_seconds = 1;
  EXPECT_EQ(run_python("while True: pass", limits).failure, "took more than 1 s of CPU time");
  limits.wall_seconds = 0.5;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(run_python("import time\ntime.sleep(60)", limits).failure, "took more than 0.5 s");
  EXPECT_LT(seconds_since(start), 10);
}

TEST_F(Sandbox, SignalsCannotBeRefused) {
  SandboxLimits limits;
  limits.cpu_seconds = 1;
  limits.wall_seconds = 60;  // seconds of a processor may take long on a busy machine
  const std::string deaf =
      "import signal\n"
      "for s in range(1, 65):\n"
      "    try: signal.signal(s, signal.SIG_IGN)\n"
      "    except (OSError, ValueError): pass\n";
  // The hard limit lies one second beyond the soft one, whose signal is ignored.
  EXPECT_EQ(run_python(deaf + "while True: pass", limits).failure,
            "killed: out of memory or of CPU time");
  limits.wall_seconds = 0.5;
  EXPECT_EQ(run_python(deaf + "signal.pause()", limits).failure, "took more than 0.5 s");
}

TEST_F(Sandbox, ForkBombIsBoundedAndGone) {
  SandboxLimits limits;
  limits.cpu_seconds = 1;
  limits.wall_seconds = 1;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(
      run_python("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", limits)
          .passed);
  EXPECT_LT(seconds_since(start), 20);
  // One process is the program itself.
  limits.processes = 8;
  const SandboxResult result = run_python(
      "import os, time\nn = 0\ntry:\n    while n < 100:\n        if os.fork() == 0:\n"
      "            time.sleep(60)\n        n += 1\nexcept OSError: pass\nprint(n)",
      limits);
  EXPECT_TRUE(result.passed) << result.failure;
  EXPECT_EQ(result.output, "7\n");
}

TEST_F(Sandbox, DaemonsEndWithTheProgram) {
  const std::string mark = "evo-daemon-" + std::to_string(getpid());
  const std::string daemon =
      "import os, time\n"
      "if os.fork() == 0:\n"
      "    os.setsid()\n"
      "    if os.fork() == 0:\n"
      "        os.execvp('python3', ['python3', '-c', 'import time; time.sleep(300)', '" +
      mark +
      "'])\n"
      "    os._exit(0)\n"
      "os.wait()\n";
  SandboxLimits limits;
  EXPECT_TRUE(run_python(daemon + "time.sleep(0.2)", limits).passed);
  expect_gone(mark);
  limits.wall_seconds = 0.5;
  EXPECT_EQ(run_python(daemon + "time.sleep(300)", limits).failure, "took more than 0.5 s");
  expect_gone(mark);
}

TEST_F(Sandbox, EndlessOutputEnds) {
  SandboxLimits limits;
  limits.output_bytes = 10000;
  const SandboxResult result = run_python("while True: print('x' * 1000)", limits);
  EXPECT_EQ(result.failure, "printed more than 10000 bytes");
  EXPECT_LE(result.output.size(), 10000u);
  EXPECT_EQ(result.output.substr(0, 3), "xxx");
}

TEST_F(Sandbox, FilesAreBounded) {
  SandboxLimits limits;
  limits.file_bytes = 1 << 20;
  const SandboxResult one = run_python("open('a', 'wb').write(bytes(2 << 20))", limits);
  EXPECT_NE(one.output.find("File too large"), std::string::npos) << one.output;
  const SandboxResult many =
      run_python("for i in range(100):\n    open(str(i), 'wb').write(bytes(100000))", limits);
  EXPECT_NE(many.output.find("No space left"), std::string::npos) << many.output;
  EXPECT_TRUE(run_python("open('a', 'wb').write(bytes(500000))\nassert len(open('a','rb').read()) "
                         "== 500000",
                         limits)
                  .passed);
}

TEST_F(Sandbox, NothingElseCanBeWritten) {
  const SandboxResult result = run_python(
      "import os\nwritable = []\n"
      "for folder, inner, _ in os.walk('/'):\n"
      "    if folder.startswith('/usr/'): inner.clear()\n"
      "    try:\n"
      "        open(folder + '/evo', 'w').close()\n"
      "        writable.append(folder)\n"
      "    except OSError: pass\n"
      "print(writable)");
  EXPECT_EQ(result.output, "['/tmp']\n") << result.failure;
}

TEST_F(Sandbox, MemoryIsBounded) {
  SandboxLimits limits;
  limits.memory_bytes = int64_t{256} << 20;
  const SandboxResult result =
      run_python("x = []\nwhile True: x.append(bytearray(1 << 24))", limits);
  EXPECT_EQ(result.failure, "exit status 1: MemoryError");
  EXPECT_TRUE(run_python("x = bytearray(100 << 20)", limits).passed);
}

TEST_F(Sandbox, NetworkIsOutOfReach) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  const std::string connect =
      "import socket\nsocket.create_connection(('127.0.0.1', " + port + "), timeout=5)";
  // From outside it works, so that the refusal inside means something.
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), size), 0);
  expect_raises(connect, "ConnectionRefusedError");
  close(client);
  close(listener);
}

TEST_F(Sandbox, FilesOfTheMachineAreOutOfReach) {
  const TemporaryFolder folder;
  testing::write_bytes(folder / "secret", "secret");
  for (const std::string& path :
       {(folder / "secret").string(), std::string("/etc/passwd"), std::string("/root"),
        std::string("/home"), std::string("/proc/1/environ"), std::string("/sys"),
        std::string("/var")}) {
    expect_raises("import os\nos.stat('" + path + "')", "FileNotFoundError");
    expect_raises("import os\nos.symlink('" + path + "', 'link')\nopen('link').read()",
                  "FileNotFoundError");
  }
  EXPECT_EQ(run_python("import os\nprint(sorted(os.environ))").output, "['LANG', 'PATH', 'PWD']\n");
}

TEST_F(Sandbox, HasNoPowers) {
  EXPECT_EQ(
      run_python("import os\nprint(os.getuid(), os.getgid(), os.getcwd(), os.listdir())").output,
      "65534 65534 /tmp []\n");
  expect_raises("import os\nos.setuid(0)", "OSError");
  expect_raises("import os\nos.chroot('/tmp')", "PermissionError");
  expect_raises("import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (1000, 1000))",
                "ValueError");
}

TEST_F(Sandbox, CannotEndOthers) {
  // Inside, the parent is the sandbox's own process 1, and -1 is all that it can see.
  const SandboxResult result = run_python(
      "import os\nfor pid in (os.getppid(), 1, -1):\n"
      "    try: os.kill(pid, 9)\n    except OSError: pass\n"
      "try: os.kill(" +
      std::to_string(getpid()) + ", 9)\nexcept OSError as e: print(e.errno)");
  EXPECT_TRUE(result.passed) << result.failure;
  EXPECT_EQ(result.output, "3\n") << "ESRCH: there is no such process";
}

TEST_F(Sandbox, InputIsEmptyHoweverLargeTheProgram) {
  const std::string comment = "#" + std::string(1 << 20, 'x') + "\n";
  EXPECT_EQ(run_python(comment + "import sys\nprint(repr(sys.stdin.read()))").output, "''\n");
  expect_raises("input()", "EOFError");
}

TEST_F(Sandbox, ThreadsMayRunSeveral) {
  std::vector<std::thread> threads;
  std::array<std::string, 4> outputs;
  for (size_t i = 0; i < outputs.size(); ++i) {
    threads.emplace_back(
        [&outputs, i] { outputs[i] = run_python("print(" + std::to_string(i) + " ** 2)").output; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(outputs, (std::array<std::string, 4>{"0\n", "1\n", "4\n", "9\n"}));
}

}  // namespace
}  // namespace evo::eval
