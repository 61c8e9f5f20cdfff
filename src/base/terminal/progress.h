// A progress line for work that takes longer than two seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/process/watcher.h"

namespace evo {

/// What TerminalProgress shows after `elapsed` seconds. Of what does not fit into so many columns,
/// first the last parts of the note go (they are divided by two blanks, and go as a whole: half a
/// number is a wrong one), then the rate, the time left, and the end of the label.
std::string progress_line(const ProgressState& state, double elapsed, std::string_view note,
                          size_t columns = std::string::npos);

/// Shows "label  37%  1.2 MB/s  0:41 left  <note>" on standard error: rewritten in place on a
/// terminal, as wide as it is at that time; one line every ten seconds elsewhere; nothing before
/// two seconds have passed.
class TerminalProgress : public ProgressView {
 public:
  explicit TerminalProgress(ProgressState begin);
  ~TerminalProgress() override;
  void update(double done, const std::string& note) override;

 private:
  using Clock = std::chrono::steady_clock;
  ProgressState state_;
  bool live_, shown_ = false;
  Clock::time_point start_, last_;
};

std::string format_duration(double seconds);  ///< "0:41", "12:05", "3:12:05"
std::string format_bytes(double bytes);       ///< "1.50 GB"
std::string format_count(double count);       ///< "8.03B", "124.4M", "512"

}  // namespace evo
