#include "base/terminal/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace evo {
namespace {

TerminalSettings chosen;

}  // namespace

void set_terminal_settings(const TerminalSettings& settings) {
  chosen = settings;
}

bool is_live_terminal(int descriptor) {
  return chosen.cursor && isatty(descriptor) != 0;
}

bool use_color(int descriptor) {
  return chosen.color.value_or(is_live_terminal(descriptor));
}

size_t terminal_columns(int descriptor) {
  constexpr size_t kUnknown = 80;
  winsize size{};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUnknown;
}

}  // namespace evo
