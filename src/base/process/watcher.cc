#include "base/process/watcher.h"

#include <atomic>
#include <utility>

namespace evo {
namespace {

Watcher nobody;
std::atomic<Watcher*> of_program = &nobody;
thread_local Watcher* of_thread = nullptr;

}  // namespace

std::unique_ptr<ProgressView> Watcher::view(const ProgressState& /*begin*/) {
  return nullptr;
}

WatchScope::WatchScope(Watcher& watcher) : before_(std::exchange(of_thread, &watcher)) {}

WatchScope::~WatchScope() {
  of_thread = before_;
}

void set_program_watcher(Watcher* watcher) {
  of_program = watcher != nullptr ? watcher : &nobody;
}

Watcher& watcher() {
  return of_thread != nullptr ? *of_thread : *of_program;
}

bool interrupted() {
  return watcher().wants_end();
}

Progress::Progress(std::string label, double total, std::string unit, bool quiet, double begin) {
  if (quiet) return;
  view_ = watcher().view(
      {.label = std::move(label), .unit = std::move(unit), .total = total, .begin = begin});
}

}  // namespace evo
