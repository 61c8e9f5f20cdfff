#include "cli/chat/turn_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "files/files.h"

namespace evo::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestTurn = size_t{64} << 10;
constexpr int64_t kLongestFile = int64_t{256} << 20;  // twice kTurns of the longest

/// In one line: "\n" and "\\" stand for a line end and a backslash.
std::string escaped(std::string_view turn) {
  std::string line;
  for (const char c : turn) {
    if (c == '\n' || c == '\\') line += '\\';
    line += c == '\n' ? 'n' : c;
  }
  return line;
}

std::string unescaped(std::string_view line) {
  std::string turn;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool escape = line[i] == '\\' && i + 1 < line.size();
    if (escape) ++i;
    turn += escape && line[i] == 'n' ? '\n' : line[i];
  }
  return turn;
}

}  // namespace

std::vector<std::string> TurnFile::read() const {
  std::vector<std::string> lines;
  if (path_.empty() || !fs::exists(path_)) return lines;
  try {
    std::istringstream text(files::read_file(path_, kLongestFile));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    if (std::ssize(lines) > kTurns) {
      const bool much = std::ssize(lines) > 2 * kTurns;
      lines.erase(lines.begin(), lines.end() - kTurns);
      if (much) shorten(lines);
    }
  } catch (const std::exception& error) {
    log_warning("what was typed in earlier chats is not known: {}", error.what());
  }
  std::ranges::transform(lines, lines.begin(), unescaped);
  return lines;
}

void TurnFile::shorten(const std::vector<std::string>& lines) const {
  files::write_atomically(path_, fmt::format("{}\n", fmt::join(lines, "\n")));
  fs::permissions(path_, fs::perms::owner_read | fs::perms::owner_write);
}

void TurnFile::add(std::string_view turn) {
  if (path_.empty() || turn.size() > kLongestTurn) return;
  try {
    append(escaped(turn) + "\n");
  } catch (const std::exception& error) {
    log_warning("what is typed in this chat is not kept: {}", error.what());
    path_.clear();
  }
}

/// In one write, so that lines of several chats do not mix.
void TurnFile::append(const std::string& line) const {
  const fs::path folder = path_.parent_path();
  if (!fs::exists(folder)) {
    fs::create_directories(folder.parent_path());
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
      fail("cannot make folder {}: {}", folder.string(), errno_message(errno));
    }
  }
  const int file = open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) fail("cannot write {}: {}", path_.string(), errno_message(errno));
  const bool private_now = fchmod(file, 0600) == 0;
  const ssize_t written = private_now ? write(file, line.data(), line.size()) : -1;
  const int reason = errno;
  close(file);
  if (written != std::ssize(line)) {
    fail("cannot write {}: {}", path_.string(), errno_message(reason));
  }
}

fs::path turn_file_path() {
  const auto folder = [](const char* variable) -> fs::path {
    const char* value = std::getenv(variable);
    return value != nullptr && fs::path(value).is_absolute() ? value : "";
  };
  const fs::path state = folder("XDG_STATE_HOME"), home = folder("HOME");
  if (!state.empty()) return state / "evo" / "chat-history";
  return home.empty() ? "" : home / ".local" / "state" / "evo" / "chat-history";
}

}  // namespace evo::cli
