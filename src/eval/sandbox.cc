#include "eval/sandbox.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <random>
#include <system_error>

#include "base/error.h"
#include "base/process/child_process.h"
#include "base/process/watcher.h"

namespace evo::eval {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kOpenFiles = 64;
// Printed when the sandbox stands and before the program begins.
constexpr std::string_view kReady = "ready\n";

// Reads the program from standard input and leaves a token there that nothing but its last lines
// reads: who prints it has come to the end. The limit of processes is set here, where the sandbox's
// own user is alone, and is not that of all processes of its owner outside.
constexpr const char* kDriver = R"(
import os, resource, sys
size, processes = int(sys.argv[1]), int(sys.argv[2])
del sys.argv[1:]
source = b''
while len(source) < size:
    source += os.read(0, size - len(source))
token = os.dup(0)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
os.write(1, b'ready\n')
exec(compile(source, 'program.py', 'exec', dont_inherit=True), {})
sys.stdout.flush()
os.write(1, os.read(token, 64))
os._exit(0)
)";

std::string random_token() {
  std::random_device device;
  std::string token;
  for (int i = 0; i < 4; ++i) token += fmt::format("{:08x}", device());
  return token;
}

/// The system's folders of programs and libraries: what / has beside /usr may be links into it.
void add_system_folders(std::vector<std::string>& words) {
  words.insert(words.end(), {"--ro-bind", "/usr", "/usr"});
  for (const char* folder : {"/bin", "/lib", "/lib32", "/lib64"}) {
    std::error_code none;
    if (fs::is_symlink(folder, none)) {
      words.insert(words.end(), {"--symlink", fs::read_symlink(folder, none).string(), folder});
    } else if (fs::is_directory(folder, none)) {
      words.insert(words.end(), {"--ro-bind", folder, folder});
    }
  }
}

/// No /proc: programs need none, and where containers are nested it often cannot be mounted. Of
/// devices only these, since bubblewrap's --dev has memory without a limit in /dev/shm.
std::vector<std::string> command(const std::string& program, const SandboxLimits& limits) {
  std::vector<std::string> words = {"bwrap",
                                    "--unshare-user",
                                    "--unshare-ipc",
                                    "--unshare-pid",
                                    "--unshare-net",
                                    "--unshare-uts",
                                    "--unshare-cgroup-try",
                                    "--uid",
                                    "65534",
                                    "--gid",
                                    "65534",
                                    "--hostname",
                                    "sandbox",
                                    "--die-with-parent",
                                    "--new-session",
                                    "--cap-drop",
                                    "ALL",
                                    "--clearenv",
                                    "--setenv",
                                    "PATH",
                                    "/usr/local/bin:/usr/bin:/bin",
                                    "--setenv",
                                    "LANG",
                                    "C.UTF-8"};
  add_system_folders(words);
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/urandom"}) {
    words.insert(words.end(), {"--dev-bind", device, device});
  }
  words.insert(words.end(), {"--size", std::to_string(limits.file_bytes), "--tmpfs", "/tmp",
                             "--remount-ro", "/", "--chdir", "/tmp", "--", "python3", "-I", "-c",
                             kDriver, std::to_string(program.size()),
                             // bubblewrap's own process in the sandbox counts too.
                             std::to_string(limits.processes + 1)});
  return words;
}

ChildOptions options_for(const std::string& program, const std::string& token,
                         const SandboxLimits& limits) {
  const auto cpu = static_cast<uint64_t>(limits.cpu_seconds);
  const auto memory = static_cast<uint64_t>(limits.memory_bytes);
  const auto file = static_cast<uint64_t>(limits.file_bytes);
  ChildOptions options;
  options.time_limit = limits.wall_seconds;
  options.ready = kReady;
  options.input = program + token;
  options.join_streams = true;
  options.output_limit = limits.output_bytes;
  options.limits = {{RLIMIT_CPU, cpu, cpu + 1},
                    {RLIMIT_AS, memory, memory},
                    {RLIMIT_FSIZE, file, file},
                    {RLIMIT_CORE, 0, 0},
                    {RLIMIT_NOFILE, kOpenFiles, kOpenFiles}};
  options.distrusted = true;
  return options;
}

/// Why a program that came to no end failed. bubblewrap passes the death by a signal on as an exit
/// status of 128 and its number.
std::string failure_of(const ChildResult& child, const std::string& output,
                       const SandboxLimits& limits) {
  if (child.exit_status < 0) return child.failure;
  if (child.exit_status == 0) return "ended before its last line, with exit status 0";
  if (child.exit_status == 128 + SIGXCPU) {
    return fmt::format("took more than {} s of CPU time", limits.cpu_seconds);
  }
  if (child.exit_status == 128 + SIGKILL) return "killed: out of memory or of CPU time";
  const std::string reason = last_line(output);
  return fmt::format("exit status {}{}{}", child.exit_status, reason.empty() ? "" : ": ", reason);
}

/// Throws Error if nothing was run.
SandboxResult run_isolated(const std::string& program, const SandboxLimits& limits) {
  const std::string token = random_token();
  const ChildResult child =
      run_child(command(program, limits), options_for(program, token, limits));
  SandboxResult result;
  result.output = child.output;
  if (!result.output.starts_with(kReady)) {
    fail("cannot isolate programs: {}",
         child.output.empty() ? child.failure : last_line(child.output));
  }
  result.output.erase(0, kReady.size());
  const size_t end = result.output.find(token);
  if (end != std::string::npos) result.output.erase(end, token.size());
  result.passed = end != std::string::npos && child.failure.empty();
  if (!result.passed) result.failure = failure_of(child, result.output, limits);
  return result;
}

/// Why programs cannot be isolated here; empty if they can.
std::string obstacle() {
  try {
    const SandboxResult result = run_isolated("pass", {});
    return result.passed ? "" : fmt::format("an empty Python program fails: {}", result.failure);
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    return fmt::format(
        "{}. Needed are the programs bwrap (package bubblewrap) and python3, and the right to make "
        "namespaces, which containers and the settings kernel.unprivileged_userns_clone, "
        "kernel.apparmor_restrict_unprivileged_userns and user.max_user_namespaces can take away",
        error.what());
  }
}

}  // namespace

bool sandbox_available(std::string& why) {
  static const std::string reason = obstacle();
  why = reason;
  return reason.empty();
}

SandboxResult run_python(const std::string& program, const SandboxLimits& limits) {
  std::string why;
  if (!sandbox_available(why)) fail("programs cannot be run safely here: {}", why);
  return run_isolated(program, limits);
}

}  // namespace evo::eval
