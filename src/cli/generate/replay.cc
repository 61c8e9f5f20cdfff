#include "cli/generate/replay.h"

#include <unistd.h>

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/process/watcher.h"
#include "base/terminal/terminal.h"
#include "cli/generate/live_view.h"
#include "cli/program.h"
#include "decode/trace/maturity_map.h"
#include "files/files.h"

namespace evo::cli {
namespace {

std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '\n') {
      result += "\\n";
    } else if ((c >= 0 && c < ' ') || c == 0x7F) {
      result += fmt::format("\\x{:02x}", c);
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + '"';
}

/// Ctrl-C ends the wait.
void wait(std::chrono::duration<double> time) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + time;
  while (Clock::now() < end && !interrupted()) {
    std::this_thread::sleep_for(
        std::min<std::chrono::duration<double>>(end - Clock::now(), std::chrono::milliseconds(50)));
  }
}

std::string progress(std::span<const decode::TracePass> passes) {
  return fmt::format("pass {}, {:.2f} tokens per forward pass", passes.back().pass,
                     decode::tokens_per_forward(passes));
}

void show_live(const decode::Trace& trace, double pace) {
  const std::span<const decode::TracePass> passes = trace.passes;
  LiveView view;
  view.show(trace.header.prompt, {});
  for (size_t i = 0; i < passes.size(); ++i) {
    wait(std::chrono::duration<double>(1 / pace));
    if (interrupted()) return view.end("");
    view.show(passes[i].text, decode::uncommitted(trace.header, passes[i]),
              progress(passes.first(i + 1)));
  }
  view.end(trace.header.suffix);
}

void show_lines(const decode::Trace& trace) {
  const std::span<const decode::TracePass> passes = trace.passes;
  for (size_t i = 0; i < passes.size() && !interrupted(); ++i) {
    fmt::print("{}\n", replay_line(trace.header, passes.first(i + 1)));
  }
}

}  // namespace

std::string replay_line(const decode::TraceHeader& header,
                        std::span<const decode::TracePass> passes) {
  const decode::TracePass& pass = passes.back();
  std::string line = fmt::format("{}: {}", progress(passes), in_quotes(pass.text));
  const char* separator = "; then";
  for (const decode::TraceToken& token : decode::uncommitted(header, pass)) {
    line += fmt::format("{} {} {:.2f}", std::exchange(separator, ","), in_quotes(token.text),
                        token.maturity);
  }
  return line;
}

void replay(const ReplayRequest& request) {
  std::optional<files::AtomicFile> map;
  if (!request.map.empty()) map.emplace(request.map);  // if it cannot be written, say so now
  const decode::Trace trace = decode::read_trace(request.file);
  if (map) {
    map->write(maturity_map_svg(trace));
    map->commit();
  }
  if (is_live_terminal(STDOUT_FILENO)) {
    show_live(trace, request.pace);
  } else {
    show_lines(trace);
  }
  flush_output();
  if (interrupted()) fail_interrupted("interrupted: the replay did not come to its end");
  log_info("[{}: {} tokens in {} passes, {:.2f} per forward pass]", trace.header.mode,
           decode::committed_tokens(trace.passes), trace.passes.size(),
           decode::tokens_per_forward(trace.passes));
}

}  // namespace evo::cli
