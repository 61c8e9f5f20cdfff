// What a chat reads: lines, and Ctrl-C.
#pragma once

#include <memory>
#include <string>

#include "cli/chat/line_editor.h"
#include "cli/chat/turn_file.h"

namespace evo::cli {

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
/// Lines may end in CR LF.
class ChatInput {
 public:
  /// `history`: where the arrow keys find the turns of earlier chats, and this one's are kept, if a
  /// person types them.
  ChatInput(ChatInterrupt& interrupt, TurnFile history);

  enum class Event { kTurn, kInterrupt, kEnd };
  /// Waits for a turn, which begins behind a prompt if a person is there. Throws Error if a turn is
  /// longer than 16 MB or the input fails.
  Event read(std::string& turn);

  /// Input and output are a terminal.
  [[nodiscard]] static bool is_interactive();

 private:
  Event read_turn(std::string& turn);
  Event read_line(const std::string& prompt, std::string& line);
  Event read_plain_line(std::string& line);

  ChatInterrupt& interrupt_;
  TurnFile history_;
  std::unique_ptr<LineEditor> editor_;  // if a person can use one
  std::string buffer_;                  // read, and not yet handed out
  bool ended_ = false;
};

}  // namespace evo::cli
