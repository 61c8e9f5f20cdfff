// Gradients and weights on their way between ranks, while others are computed.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "comm/communicator.h"
#include "tensor/gradient_watch.h"
#include "tensor/tape.h"
#include "train/ranks/partition.h"

namespace evo::train {

/// Where the time of communication went.
struct ExchangeTimes {
  double transfer = 0;  ///< seconds that the thread of communication was at work
  double waiting = 0;   ///< of them, seconds in which nothing was computed
};

/// One thread that takes buckets in the order in which they are handed over, which is the same on
/// every rank: the tape of a pass depends on the configuration and on draws that all ranks share.
/// While it is at work (from a call to finish() on it is not), nobody else may communicate.
class Exchange {
 public:
  Exchange(comm::Communicator& ranks, const Partition& partition, comm::Wire wire);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// To be called before the forward pass whose backward pass completes `gradients`.
  void expect(std::span<float> gradients);
  /// tape.backward(), sending buckets of gradients as they become complete. Returns when each rank
  /// has the sum of its part of every bucket.
  void backward(tensor::Tape& tape);

  /// Sends the rank's part of a bucket of `weights`; the others' have come after finish(), or after
  /// await() of what the bucket is first used for.
  void share(const Bucket& bucket, std::span<float> weights);
  /// Returns when all that was shared for `use` and before (Bucket::first_use) is there.
  void await(int64_t use);
  void finish();

  /// Since the last call.
  ExchangeTimes take_times();

 private:
  enum class Direction { kSum, kShare };
  struct Job {
    Direction direction;
    std::span<float> values;
  };
  void hand_over(Direction direction, const Bucket& bucket, std::span<float> array);
  void send_complete();
  void wait_until_done(int64_t jobs);
  void work();
  void run(const Job& job);

  comm::Communicator& ranks_;
  const Partition& partition_;
  comm::Wire wire_;

  std::span<float> gradients_;
  std::optional<tensor::GradientWatch> watch_;
  std::vector<const Bucket*> expected_;  // not handed over yet
  struct Share {
    int64_t use, job;
  };
  std::vector<Share> shares_;  // handed over since the last finish()
  int64_t handed_over_ = 0;    // jobs so far

  std::mutex mutex_;  // of what is below
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // the first one is being worked on
  int64_t done_ = 0;      // jobs so far
  bool ended_ = false;
  std::exception_ptr fault_;
  ExchangeTimes times_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace evo::train
