#include "comm/mpi_wait.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/error.h"

namespace evo::comm {
namespace {

// Messages without content, beside the transfers.
constexpr int kAlive = 32001, kFarewell = 32002;

constexpr int kEager = 20;  // looks at the requests
constexpr std::chrono::microseconds kShortPause{20}, kLongPause{500};
constexpr std::chrono::milliseconds kLookAround{100};  // between looks at the peers
// For lower ranks to speak first: about a fault that all meet, and about one that not all notice.
constexpr std::chrono::milliseconds kNoDelay{0}, kDeference{1000}, kGrace{5000};

/// Hands the core over: at first only to who is waiting for it, later for a share of the time that
/// was waited so far, so that looking costs little of a core and little comes late.
void pause(int looks, std::chrono::nanoseconds waited) {
  if (looks < kEager) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(
        std::clamp<std::chrono::nanoseconds>(waited / 8, kShortPause, kLongPause));
  }
}

std::string names_of(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

std::vector<int> pending_of(const Transfers& transfers) {
  std::vector<int> peers;
  for (size_t i = 0; i < transfers.requests.size(); ++i) {
    if (transfers.requests[i] != MPI_REQUEST_NULL) peers.push_back(transfers.peers[i]);
  }
  std::ranges::sort(peers);
  const auto repeated = std::ranges::unique(peers);
  peers.erase(repeated.begin(), repeated.end());
  return peers;
}

/// The lowest rank that is not in `out`; -1 if there is none.
int lowest_not_in(const std::vector<int>& out, int size) {
  for (int rank = 0; rank < size; ++rank) {
    if (std::ranges::find(out, rank) == out.end()) return rank;
  }
  return -1;
}

}  // namespace

RankWatch::RankWatch(int rank, int size, const CommunicatorOptions& options)
    : rank_(rank), size_(size), patience_(options.patience), say_(options.say) {
  learn_processes();
}

/// Who runs on this machine, where the system tells at once that a process has died.
void RankWatch::learn_processes() {
  struct Place {
    std::array<char, 256> host{}, processes{};  // the machine, and what it calls its processes
    int process = 0;
  };
  Place own;
  gethostname(own.host.data(), own.host.size() - 1);
  (void)!readlink("/proc/self/ns/pid", own.processes.data(), own.processes.size() - 1);
  own.process = getpid();
  std::vector<Place> all(static_cast<size_t>(size_));
  MPI_Allgather(&own, sizeof own, MPI_BYTE, all.data(), sizeof own, MPI_BYTE, MPI_COMM_WORLD);
  for (const Place& place : all) {
    const bool here = place.host == own.host && place.processes == own.processes;
    processes_.push_back(here ? place.process : 0);
  }
}

void RankWatch::set_activity(std::string activity) {
  const std::lock_guard lock(mutex_);
  activity_ = std::move(activity);
}

std::string RankWatch::activity() {
  const std::lock_guard lock(mutex_);
  return activity_;
}

void RankWatch::wait(Transfers& transfers) {
  const auto count = static_cast<int>(transfers.requests.size());
  std::vector<int> finished(transfers.requests.size());
  Clock::time_point progressed = Clock::now(), looked = progressed;
  for (int looks = 0;; ++looks) {
    int done = 0;
    {
      const std::lock_guard lock(mutex_);
      MPI_Testsome(count, transfers.requests.data(), &done, finished.data(), MPI_STATUSES_IGNORE);
    }
    if (done == MPI_UNDEFINED) break;  // none is left
    if (done > 0) {
      looks = 0;
      progressed = Clock::now();
      continue;
    }
    pause(looks, Clock::now() - progressed);
    if (looks < kEager || Clock::now() - looked < kLookAround) continue;
    looked = Clock::now();
    if (anyone_left()) std::_Exit(EXIT_FAILURE);  // and has said why
    const std::vector<int> pending = pending_of(transfers);
    if (const std::vector<int> dead = dead_of(pending); !dead.empty()) {
      blame(dead, fmt::format("died at {}", activity()));
    }
    const double waited = std::chrono::duration<double>(looked - progressed).count();
    if (patience_ > 0 && waited > patience_) {
      const std::vector<int> silent = silent_of(pending);
      blame(silent.empty() ? pending : silent,
            fmt::format("did not arrive at {} for {:.0f} s", activity(), patience_));
    }
  }
  transfers.requests.clear();
  transfers.peers.clear();
}

std::vector<int> RankWatch::dead_of(const std::vector<int>& peers) const {
  std::vector<int> dead;
  for (const int peer : peers) {
    const int process = processes_[peer];
    if (process != 0 && kill(process, 0) != 0 && errno == ESRCH) dead.push_back(peer);
  }
  return dead;
}

/// Who of `peers` does not run out of patience itself. A rank that waits for a third one looks
/// missing too, but says that it is alive when its own patience ends.
std::vector<int> RankWatch::silent_of(const std::vector<int>& peers) {
  tell_all(kAlive);
  std::vector<int> silent = peers;
  const Clock::time_point end = Clock::now() + std::chrono::seconds(1);
  while (!silent.empty() && Clock::now() < end) {
    std::erase_if(silent, [&](int peer) { return heard(peer, kAlive); });
    std::this_thread::sleep_for(kLongPause);
  }
  return silent;
}

/// One rank says it: the lowest that is there. The others give it time to.
void RankWatch::blame(std::vector<int> missing, const std::string& what) {
  defer(lowest_not_in(missing, size_) == rank_ ? kNoDelay : kGrace);
  abort(fmt::format("{} {}: the job ends. Go on from the last checkpoint with --resume",
                    names_of(missing), what));
}

void RankWatch::end_job(const std::string& message) {
  // What all ranks meet at the same time the lowest one says.
  defer(rank_ == 0 ? kNoDelay : kDeference);
  abort(fmt::format("rank {} at {}: {}", rank_, activity(), message));
}

/// Returns after a while, but ends this process if another one ends the job meanwhile.
void RankWatch::defer(std::chrono::milliseconds time) {
  const Clock::time_point end = Clock::now() + time;
  do {
    if (anyone_left()) std::_Exit(EXIT_FAILURE);
    std::this_thread::sleep_for(kLongPause);
  } while (Clock::now() < end);
}

bool RankWatch::anyone_left() {
  return heard(MPI_ANY_SOURCE, kFarewell);
}

void RankWatch::abort(const std::string& message) {
  say_(message);
  tell_all(kFarewell);
  // mpirun ends us with this signal, and kills only a while later those who mind it.
  std::signal(SIGTERM, SIG_DFL);
  const std::lock_guard lock(mutex_);
  MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
  std::_Exit(EXIT_FAILURE);
}

void RankWatch::tell_all(int tag) {
  const std::lock_guard lock(mutex_);
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Isend(nullptr, 0, MPI_BYTE, peer, tag, MPI_COMM_WORLD, &request);
    MPI_Request_free(&request);
  }
}

bool RankWatch::heard(int from, int tag) {
  const std::lock_guard lock(mutex_);
  int there = 0;
  MPI_Iprobe(from, tag, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
  return there != 0;
}

}  // namespace evo::comm
