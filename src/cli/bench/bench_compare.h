// Training speed of this program and of a peer, measured in turns.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/process/watcher.h"
#include "cli/bench/bench_peer.h"

namespace evo::cli {

/// The measurements of one program, each of which ran in a process of its own.
struct ProgramRuns {
  std::string name;
  std::vector<json::Record> runs;  ///< what measure_training() returns, or what the peer printed
  std::string failure;             ///< why there are no more runs

  [[nodiscard]] std::vector<double> values(const std::string& key) const;
  [[nodiscard]] double median_of(const std::string& key) const;
  [[nodiscard]] double largest(const std::string& key) const;  ///< NaN if one is not known
  /// Of the runs that there were; NaN if the program failed.
  [[nodiscard]] double rate() const;
};

struct Comparison {
  BenchCase work;
  std::string peer;  ///< name, or "none: " and why
  ProgramRuns ours;
  std::vector<ProgramRuns> variants;

  [[nodiscard]] const ProgramRuns* best() const;  ///< the fastest variant; null if none worked
  [[nodiscard]] json::Record row() const;         ///< as `--json` prints it
  void print_table() const;
  void warn_if_disturbed() const;
};

/// Runs all measurements of a benchmark, with one progress line for the whole of it.
class Comparer {
 public:
  /// Each of `cases` is measured `rounds` times against each of `variants`; a run of the peer may
  /// take `time_limit` seconds.
  Comparer(const Peer& peer, std::vector<Variant> variants, const std::vector<BenchCase>& cases,
           int64_t rounds, double time_limit);

  /// Ours, a variant, ours, the next variant ... so that a machine that slows down slows both.
  Comparison compare(const BenchCase& work);

 private:
  void run(ProgramRuns& program, const BenchCase& work, const std::vector<std::string>& command,
           double time_limit);

  const Peer& peer_;
  std::vector<Variant> variants_;
  int64_t rounds_;
  double time_limit_;
  double done_ = 0;  // TFLOP
  std::optional<Progress> progress_;
};

}  // namespace evo::cli
