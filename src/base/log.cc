#include "base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>

#include "base/terminal/status_line.h"

namespace evo {
namespace {

/// A message begins on a line of its own, also while there is a line of progress.
class ErrorSink : public spdlog::sinks::base_sink<std::mutex> {
 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    write_above_status_line({text.data(), text.size()});
  }
  void flush_() override {}
};

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("evo", std::make_shared<ErrorSink>());
    made.set_pattern("%v");
    return made;
  }();
  return instance;
}

}  // namespace

void set_log_level(LogLevel level) {
  logger().set_level(level == LogLevel::kQuiet ? spdlog::level::warn : spdlog::level::info);
}

LogLevel log_level() {
  return logger().level() == spdlog::level::warn ? LogLevel::kQuiet : LogLevel::kInfo;
}

void log_line(const std::string& text) {
  logger().info("{}", text);
}
void warn_line(const std::string& text) {
  logger().warn("warning: {}", text);
}

}  // namespace evo
