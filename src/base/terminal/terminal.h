// What may be written to a terminal besides text.
#pragma once

#include <cstddef>
#include <optional>

namespace evo {

inline constexpr const char* kClearBehind = "\x1b[J";  ///< the cursor, to the end of the screen

struct TerminalSettings {
  bool cursor = true;         ///< terminals obey commands that move the cursor and clear lines
  std::optional<bool> color;  ///< always or never; nothing: on terminals that obey commands
};

/// For the whole process; whoever reads the command line and the environment calls this at start.
void set_terminal_settings(const TerminalSettings& settings);

/// The output `descriptor` is a terminal that obeys commands.
[[nodiscard]] bool is_live_terminal(int descriptor);

/// Colours are wanted on the output `descriptor`.
[[nodiscard]] bool use_color(int descriptor);

/// Width of the terminal `descriptor` as it is now, since it may change; 80 if it does not say.
[[nodiscard]] size_t terminal_columns(int descriptor);

}  // namespace evo
