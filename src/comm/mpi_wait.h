// Waiting for other ranks: without burning the core they may need, and not for ever.
#pragma once

#include <mpi.h>

#include <chrono>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"

namespace evo::comm {

/// Transfers under way, each with one rank.
struct Transfers {
  std::vector<MPI_Request> requests;
  std::vector<int> peers;
};

/// Watches over the ranks of a job. MPI is called by one thread at a time: every call is made under
/// mutex(), and none of them blocks, so that a thread that has to end the job gets its turn.
class RankWatch {
 public:
  RankWatch(int rank, int size, const CommunicatorOptions& options);

  /// Returns when all transfers are done, and empties the list. Ends the job if a peer has died or
  /// does not come.
  void wait(Transfers& transfers);

  void set_activity(std::string activity);
  void set_patience(double seconds) { patience_ = seconds; }

  /// See Communicator::end_job().
  [[noreturn]] void end_job(const std::string& message);

  std::mutex& mutex() { return mutex_; }

 private:
  using Clock = std::chrono::steady_clock;
  void learn_processes();
  [[nodiscard]] std::string activity();
  [[nodiscard]] std::vector<int> dead_of(const std::vector<int>& peers) const;
  [[noreturn]] void blame(std::vector<int> missing, const std::string& what);
  [[nodiscard]] std::vector<int> silent_of(const std::vector<int>& peers);
  [[noreturn]] void abort(const std::string& message);
  void defer(std::chrono::milliseconds time);
  [[nodiscard]] bool anyone_left();
  void tell_all(int tag);
  [[nodiscard]] bool heard(int from, int tag);

  int rank_, size_;
  double patience_;  // seconds; 0: without end
  std::function<void(std::string_view)> say_;
  std::string activity_ = "the start";
  std::vector<int> processes_;  // ids of the ranks on this machine, 0 for others
  std::mutex mutex_;
};

}  // namespace evo::comm
