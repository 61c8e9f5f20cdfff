#include "base/log.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "base/terminal/status_line.h"

namespace evo {
namespace {

std::atomic<LogLevel> level = LogLevel::kInfo;

struct Receiver {
  std::mutex mutex;
  LogSink sink;
};

Receiver& receiver() {
  static Receiver instance;
  return instance;
}

void hand_on(std::string_view message) {
  Receiver& to = receiver();
  const std::lock_guard lock(to.mutex);
  if (to.sink) to.sink(message);
}

}  // namespace

void set_log_level(LogLevel chosen) {
  level = chosen;
}

LogLevel log_level() {
  return level;
}

void set_log_sink(LogSink sink) {
  Receiver& to = receiver();
  const std::lock_guard lock(to.mutex);
  to.sink = std::move(sink);
}

void log_to_terminal() {
  set_log_sink(
      [](std::string_view message) { write_above_status_line(std::string(message) + "\n"); });
}

void log_line(const std::string& text) {
  if (level == LogLevel::kInfo) hand_on(text);
}
void warn_line(const std::string& text) {
  hand_on("warning: " + text);
}

}  // namespace evo
