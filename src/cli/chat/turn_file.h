// What somebody has typed in chats before, for the arrow keys.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace evo::cli {

inline constexpr int kTurns = 1000;  ///< that are kept, and found by the arrow keys

/// A file with a turn per line, which only its owner may read. Several chats may add to it at the
/// same time. A history is no reason for a chat to end: what goes wrong is a warning.
class TurnFile {
 public:
  /// An empty path: nothing is read or kept. The file's folder is made when the first turn is kept.
  explicit TurnFile(std::filesystem::path path) : path_(std::move(path)) {}

  /// The latest kTurns, the oldest first.
  [[nodiscard]] std::vector<std::string> read() const;
  /// Turns of more than 64 KB are texts that were pasted, and not kept.
  void add(std::string_view turn);

 private:
  void shorten(const std::vector<std::string>& lines) const;
  void append(const std::string& line) const;

  std::filesystem::path path_;
};

/// evo/chat-history in the user's folder for state, as the XDG base directories have it
/// ($XDG_STATE_HOME or ~/.local/state); empty if there is no such folder.
[[nodiscard]] std::filesystem::path turn_file_path();

}  // namespace evo::cli
