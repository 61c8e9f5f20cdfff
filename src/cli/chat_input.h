// What a chat reads: lines, and Ctrl-C.
#pragma once

#include <optional>
#include <string>

namespace evo {

/// While it lives, Ctrl-C asks for the answer to stop instead of ending the program; a second one
/// before anybody has looked at the first ends it all the same. There can be only one.
class ChatInterrupt {
 public:
  ChatInterrupt();
  ~ChatInterrupt();
  ChatInterrupt(const ChatInterrupt&) = delete;
  ChatInterrupt& operator=(const ChatInterrupt&) = delete;

  [[nodiscard]] bool pending() const;
  /// Forgets it; true if it was pending.
  bool take();
  /// Can be read when Ctrl-C is pending.
  [[nodiscard]] int descriptor() const;
};

/// Turns from standard input: lines, of which one that ends in a backslash goes on in the next.
class ChatInput {
 public:
  explicit ChatInput(ChatInterrupt& interrupt) : interrupt_(interrupt) {}

  enum class Event { kTurn, kInterrupt, kEnd };
  /// Waits for a turn, which begins behind a prompt if a person is there. Throws Error if a turn is
  /// longer than 16 MB or the input fails.
  Event read(std::string& turn);

  /// Input and output are a terminal.
  [[nodiscard]] static bool is_interactive();

 private:
  Event read_line(std::string& line);

  ChatInterrupt& interrupt_;
  std::string buffer_;  // read, and not yet handed out
  bool ended_ = false;
};

}  // namespace evo
