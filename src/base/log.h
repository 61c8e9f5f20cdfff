// Messages to people, on standard error: standard output belongs to results.
#pragma once

#include <fmt/format.h>

#include <string>

namespace evo {

enum class LogLevel { kQuiet, kInfo };
void set_log_level(LogLevel level);
LogLevel log_level();

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
