// Messages to people. A library does not speak by itself: they go where the program says.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

namespace evo {

enum class LogLevel { kQuiet, kInfo };
void set_log_level(LogLevel level);
LogLevel log_level();

/// Gets a message without the end of its line, one message at a time.
using LogSink = std::function<void(std::string_view message)>;
/// At first there is none, and messages are lost; so they are with an empty one.
void set_log_sink(LogSink sink);
/// Messages go to standard error, since standard output belongs to results; each begins on a line
/// of its own, also while there is a line of progress.
void log_to_terminal();

void log_line(const std::string& text);   ///< shown at kInfo
void warn_line(const std::string& text);  ///< always shown, prefixed "warning: "

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  warn_line(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace evo
