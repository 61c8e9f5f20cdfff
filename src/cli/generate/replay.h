// evo generate --replay
#pragma once

#include <span>
#include <string>

#include "decode/trace/trace.h"

namespace evo::cli {

struct ReplayRequest {
  std::string file;  ///< a trace
  double pace = 8;   ///< passes per second on a terminal; elsewhere nothing waits
  std::string map;   ///< also draw the maturity map into this file, if not empty
};

/// Shows on standard output how a traced text came into being: live on a terminal, else as one
/// line per pass.
void replay(const ReplayRequest& request);

/// The last of these passes, in one line of printable text without its end.
[[nodiscard]] std::string replay_line(const decode::TraceHeader& header,
                                      std::span<const decode::TracePass> passes);

}  // namespace evo::cli
