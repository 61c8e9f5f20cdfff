#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace evo {
namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_color_mt("evo");
    made->set_pattern("%v");
    return made;
  }();
  return *instance;
}

}  // namespace

void set_log_level(LogLevel level) {
  logger().set_level(level == LogLevel::kQuiet ? spdlog::level::warn : spdlog::level::info);
}

void log_line(const std::string& text) {
  logger().info("{}", text);
}
void warn_line(const std::string& text) {
  logger().warn("warning: {}", text);
}

}  // namespace evo
