// For builds without libedit: the terminal's own way to change a line must do.
#include "cli/chat/chat_input.h"
#include "cli/chat/line_editor.h"

namespace evo::cli {

std::unique_ptr<LineEditor> make_line_editor(ChatInterrupt& /*interrupt*/) {
  return nullptr;
}

}  // namespace evo::cli
