// The files that --trace and --trace-map ask for.
#pragma once

#include <optional>
#include <string>

#include "decode/trace/trace.h"
#include "files/text_writer.h"

namespace evo::cli {

class TraceFiles {
 public:
  /// Makes the files; an empty name: none. If one cannot be written, that is said before the work.
  TraceFiles(const std::string& trace, const std::string& map);

  [[nodiscard]] bool wanted() const { return lines_ || map_; }
  void begin(const decode::TraceHeader& header);
  void add(const decode::TracePass& pass);
  /// Now they appear under their names.
  void commit();

 private:
  std::optional<files::TextWriter> lines_;
  std::optional<files::AtomicFile> map_;
  decode::Trace for_map_;
};

}  // namespace evo::cli
