#include "train/ranks/exchange.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace evo::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Exchange::Exchange(comm::Communicator& ranks, const Partition& partition, comm::Wire wire)
    : ranks_(ranks), partition_(partition), wire_(wire), thread_([this] { work(); }) {}

Exchange::~Exchange() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Exchange::expect(std::span<float> gradients) {
  EVO_CHECK(expected_.empty());
  gradients_ = gradients;
  watch_.emplace(gradients);
  // What is declared last is used last, and its gradients come first.
  for (auto bucket = partition_.buckets().rbegin(); bucket != partition_.buckets().rend();
       ++bucket) {
    if (bucket->trained) expected_.push_back(&*bucket);
  }
}

void Exchange::backward(tensor::Tape& tape) {
  tape.backward([this] { send_complete(); });
  send_complete();  // those that are on no tape
  EVO_CHECK(expected_.empty());
  finish();
}

void Exchange::send_complete() {
  std::erase_if(expected_, [this](const Bucket* bucket) {
    if (!watch_->complete(bucket->begin, bucket->end)) return false;
    hand_over(Direction::kSum, *bucket, gradients_);
    return true;
  });
}

void Exchange::share(const Bucket& bucket, std::span<float> weights) {
  if (!bucket.trained) return;
  hand_over(Direction::kShare, bucket, weights);
  shares_.push_back({bucket.first_use, handed_over_});
}

void Exchange::hand_over(Direction direction, const Bucket& bucket, std::span<float> array) {
  const auto values = array.subspan(bucket.begin, bucket.size());
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({direction, values});
  }
  ++handed_over_;
  changed_.notify_all();
}

void Exchange::await(int64_t use) {
  int64_t last = 0;
  for (const Share& share : shares_) {
    if (share.use <= use) last = std::max(last, share.job);
  }
  wait_until_done(last);
}

void Exchange::finish() {
  wait_until_done(handed_over_);
  shares_.clear();
}

void Exchange::wait_until_done(int64_t jobs) {
  const Clock::time_point start = Clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ >= jobs || fault_; });
  times_.waiting += seconds_since(start);
  if (fault_) std::rethrow_exception(fault_);
}

ExchangeTimes Exchange::take_times() {
  const std::lock_guard lock(mutex_);
  return std::exchange(times_, {});
}

void Exchange::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return !jobs_.empty() || ended_; });
    if (ended_) return;
    const Job job = jobs_.front();
    lock.unlock();
    const Clock::time_point start = Clock::now();
    std::exception_ptr fault;
    try {
      run(job);
    } catch (...) {
      fault = std::current_exception();
    }
    lock.lock();
    times_.transfer += seconds_since(start);
    jobs_.pop_front();
    if (fault) fault_ = fault;
    ++done_;
    changed_.notify_all();
  }
}

void Exchange::run(const Job& job) {
  if (job.direction == Direction::kSum) {
    ranks_.reduce_scatter(job.values, wire_);
  } else {
    ranks_.all_gather(job.values);
  }
}

}  // namespace evo::train
