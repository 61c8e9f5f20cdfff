// The processes of one job, called ranks, and what they tell each other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace evo::comm {

/// Number format of what is sent. Sums are f32 in either case.
enum class Wire { kF32, kBF16 };

struct IndexRange {
  int64_t begin = 0, end = 0;
  [[nodiscard]] int64_t size() const { return end - begin; }
  [[nodiscard]] bool operator==(const IndexRange&) const = default;
};

/// The part of [0, count) that is rank `rank`'s of `size`: contiguous, in order, of nearly equal
/// lengths, perhaps empty.
[[nodiscard]] inline IndexRange part_of(int64_t count, int rank, int size) {
  return {count * rank / size, count * (rank + 1) / size};
}

template <class Value>
[[nodiscard]] std::span<Value> part_of(std::span<Value> values, IndexRange part) {
  return values.subspan(part.begin, part.size());
}

/// Every rank calls the same functions in the same order, with arrays of equal lengths, from one
/// thread at a time. Results depend on the numbers and on how many ranks there are, on nothing
/// else: not on timing, nor on how an array is cut into calls.
///
/// A rank that has died, or that does not come for CommunicatorOptions::patience seconds, ends the
/// job (see end_job()) on all others.
///
/// Nothing here says where arrays lie or how they travel. An implementation for GPUs takes device
/// memory and may enqueue; what it must keep is the order of the sum, which is that of the ranks
/// (point-to-point transfers and a kernel that adds, as MPI's twin does it, rather than a library's
/// all-reduce, whose order follows its topology).
class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  [[nodiscard]] bool is_first() const { return rank() == 0; }

  /// values [n]: this rank's part (part_of()) becomes its sum over all ranks, added in f32 from
  /// rank 0 upwards; the other parts stay. On a wire of bf16 every rank's numbers are rounded
  /// before they are added, also those that stay at home: it does not matter whose part they are.
  virtual void reduce_scatter(std::span<float> values, Wire wire) = 0;

  /// values [n]: every rank gives its part and gets the others', bit for bit.
  virtual void all_gather(std::span<float> values) = 0;

  /// `all` [size() * n] becomes the `own` [n] of every rank, from rank 0 upwards.
  virtual void gather(std::span<const double> own, std::span<double> all) = 0;

  /// Returns when every rank has called it.
  void barrier() { gather({}, {}); }

  /// What the job is at, for messages: "step 12". Also while another thread communicates.
  virtual void set_activity(std::string activity) = 0;

  /// Seconds to wait for a rank; 0: for ever. Not while another thread communicates.
  virtual void set_patience(double seconds) = 0;

  /// Says `message`, with rank and activity, through CommunicatorOptions::say, and ends all ranks
  /// with an exit status that is not 0. If several call it, the lowest one's is said. May be called
  /// while another thread communicates. A rank that is alone throws Error instead.
  [[noreturn]] virtual void end_job(const std::string& message) = 0;
};

struct CommunicatorOptions {
  double patience = 120;  ///< seconds to wait for a rank; 0: for ever
  /// Hears why the job ends, just before it does, from any thread.
  std::function<void(std::string_view)> say = [](std::string_view) {};
};

/// The ranks that mpirun or srun started together with this process; just this process if they did
/// not. Throws Error if there are several ranks and this program was built without MPI. Once per
/// process, as MPI has it.
[[nodiscard]] std::unique_ptr<Communicator> make_communicator(const CommunicatorOptions& options);

/// This process alone.
[[nodiscard]] std::unique_ptr<Communicator> single_communicator();

}  // namespace evo::comm
