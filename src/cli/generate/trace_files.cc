#include "cli/generate/trace_files.h"

#include "decode/trace/maturity_map.h"

namespace evo::cli {

TraceFiles::TraceFiles(const std::string& trace, const std::string& map) {
  if (!trace.empty()) lines_.emplace(trace);
  if (!map.empty()) map_.emplace(map);
}

void TraceFiles::begin(const decode::TraceHeader& header) {
  if (lines_) lines_->write(trace_line(header));
  if (map_) for_map_.header = header;
}

void TraceFiles::add(const decode::TracePass& pass) {
  if (lines_) lines_->write(trace_line(pass));
  if (map_) for_map_.passes.push_back(pass);
}

void TraceFiles::commit() {
  if (map_) map_->write(maturity_map_svg(for_map_));
  if (lines_) lines_->commit();
  if (map_) map_->commit();
}

}  // namespace evo::cli
