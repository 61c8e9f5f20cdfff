#include "cli/prompt_input.h"

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>

#include "base/error.h"
#include "base/log.h"
#include "base/process/watcher.h"
#include "files/files.h"

namespace evo::cli {
namespace {

constexpr int64_t kLongest = int64_t{16} << 20;  // bytes

std::string read_standard_input() {
  if (isatty(STDIN_FILENO) != 0) log_info("[the prompt, please; Ctrl-D on a line of its own ends]");
  std::string text;
  char bytes[1 << 16];
  for (;;) {
    pollfd source = {STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&source, 1, -1);
    if (interrupted()) fail_interrupted("interrupted: there is no prompt");
    if (ready < 0 && errno == EINTR) continue;
    const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (count == 0) return text;
    if (count < 0) fail("cannot read standard input: {}", errno_message(errno));
    text.append(bytes, static_cast<size_t>(count));
    if (std::ssize(text) > kLongest) {
      fail("standard input: the prompt is longer than {} bytes: give less", kLongest);
    }
  }
}

}  // namespace

void add_prompt_options(CLI::App& command, PromptFlags& flags, const std::string& help) {
  command.add_option("--prompt", flags.text, help + "; -: what standard input has");
  command.add_option("--prompt-file", flags.file,
                     "file with the prompt, compressed or not; - as above. One line end at its end "
                     "is not part of the prompt");
}

std::optional<std::string> read_prompt(const PromptFlags& flags) {
  if (flags.text && flags.file) {
    throw UsageError("--prompt and --prompt-file exclude each other: give one of them");
  }
  if (flags.file) return read_prompt_file(*flags.file);
  return flags.text == "-" ? read_prompt_file("-") : flags.text;
}

std::string read_prompt_file(const std::string& name) {
  std::string text = name == "-" ? read_standard_input() : files::read_text(name, kLongest);
  if (!text.ends_with('\n')) return text;
  text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace evo::cli
