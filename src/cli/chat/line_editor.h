// Lines that a person types at a terminal.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace evo::cli {

class ChatInterrupt;

class LineEditor {
 public:
  enum class Event { kLine, kInterrupt, kEnd };

  virtual ~LineEditor() = default;
  /// Waits for a line, which a person writes behind `prompt` and can change before it is sent. What
  /// was pasted is a part of the line even if it has several, divided by '\n'. Ctrl-C gives the
  /// line up. Throws Error if the terminal fails.
  virtual Event read(const std::string& prompt, std::string& line) = 0;
  /// The arrow keys find `turn` from now on.
  virtual void remember(const std::string& turn) = 0;
};

/// Nothing if this program was built without libedit. There can be only one at a time.
[[nodiscard]] std::unique_ptr<LineEditor> make_line_editor(ChatInterrupt& interrupt);

}  // namespace evo::cli
