#include <mpi.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/float_formats.h"
#include "comm/communicator.h"
#include "comm/launch.h"
#include "comm/mpi_wait.h"

namespace evo::comm {
namespace {

float widened(float value) {
  return value;
}
float widened(uint16_t bits) {
  return from_bf16(bits);
}

MPI_Datatype type_of(const float*) {
  return MPI_FLOAT;
}
MPI_Datatype type_of(const double*) {
  return MPI_DOUBLE;
}
MPI_Datatype type_of(const uint16_t*) {
  return MPI_UINT16_T;
}

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(int rank, int size, const CommunicatorOptions& options)
      : rank_(rank), size_(size), watch_(rank, size, options) {}
  ~MpiCommunicator() override { MPI_Finalize(); }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  void reduce_scatter(std::span<float> values, Wire wire) override {
    if (wire == Wire::kF32) return reduce_scatter(values, std::span<const float>(values), floats_);
    packed_.resize(values.size());
    std::ranges::transform(values, packed_.begin(), to_bf16);
    reduce_scatter(values, std::span<const uint16_t>(packed_), bits_);
  }

  void all_gather(std::span<float> values) override {
    const auto part = [&](int rank) { return part_of(std::ssize(values), rank, size_); };
    for_each_peer([&](int peer) {
      receive(values.data() + part(peer).begin, part(peer).size(), peer);
      send(values.data() + part(rank_).begin, part(rank_).size(), peer);
    });
    watch_.wait(transfers_);
  }

  void gather(std::span<const double> own, std::span<double> all) override {
    const auto count = std::ssize(own);
    EVO_CHECK(std::ssize(all) == count * size_);
    std::ranges::copy(own, all.begin() + rank_ * count);
    for_each_peer([&](int peer) {
      receive(all.data() + peer * count, count, peer);
      send(own.data(), count, peer);
    });
    watch_.wait(transfers_);
  }

  void set_activity(std::string activity) override { watch_.set_activity(std::move(activity)); }
  void set_patience(double seconds) override { watch_.set_patience(seconds); }
  [[noreturn]] void end_job(const std::string& message) override { watch_.end_job(message); }

 private:
  /// `outgoing` [n]: `values` as they travel. Into `received` come all ranks' numbers of our part.
  template <class Element>
  void reduce_scatter(std::span<float> values, std::span<const Element> outgoing,
                      std::vector<Element>& received) {
    const auto part = [&](int rank) { return part_of(std::ssize(values), rank, size_); };
    const IndexRange own = part(rank_);
    received.resize(own.size() * size_);
    for_each_peer([&](int peer) {
      receive(received.data() + peer * own.size(), own.size(), peer);
      send(outgoing.data() + part(peer).begin, part(peer).size(), peer);
    });
    std::copy_n(outgoing.data() + own.begin, own.size(), received.data() + rank_ * own.size());
    watch_.wait(transfers_);
    float* const sum = values.data() + own.begin;
    for (int from = 0; from < size_; ++from) {
      const Element* const term = received.data() + from * own.size();
      for (int64_t i = 0; i < own.size(); ++i) {
        sum[i] = from == 0 ? widened(term[i]) : sum[i] + widened(term[i]);
      }
    }
  }

  template <class Visit>
  void for_each_peer(const Visit& visit) const {
    for (int peer = 0; peer < size_; ++peer) {
      if (peer != rank_) visit(peer);
    }
  }

  // Messages between two ranks arrive in the order in which they were sent, and all ranks make the
  // same calls, so that one tag is enough.
  static constexpr int kTag = 1;

  template <class Element>
  void receive(Element* to, int64_t count, int peer) {
    const std::lock_guard lock(watch_.mutex());
    MPI_Irecv(to, checked_count(count), type_of(to), peer, kTag, MPI_COMM_WORLD,
              next_request(peer));
  }
  template <class Element>
  void send(const Element* from, int64_t count, int peer) {
    const std::lock_guard lock(watch_.mutex());
    MPI_Isend(from, checked_count(count), type_of(from), peer, kTag, MPI_COMM_WORLD,
              next_request(peer));
  }
  static int checked_count(int64_t count) {
    EVO_CHECK(std::in_range<int>(count));
    return static_cast<int>(count);
  }
  MPI_Request* next_request(int peer) {
    transfers_.peers.push_back(peer);
    return &transfers_.requests.emplace_back(MPI_REQUEST_NULL);
  }

  int rank_, size_;
  RankWatch watch_;
  Transfers transfers_;
  std::vector<float> floats_;            // [size * own part] received; kept from call to call
  std::vector<uint16_t> bits_, packed_;  // the same in bf16; [n] to be sent
};

}  // namespace

std::unique_ptr<Communicator> make_communicator(const CommunicatorOptions& options) {
  if (launched_ranks() <= 1) return single_communicator();
  int provided = MPI_THREAD_SINGLE, rank = 0, size = 0;
  // One thread at a time: that of the gradients while the backward pass runs, else the main one.
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
  if (provided < MPI_THREAD_SERIALIZED) {
    MPI_Finalize();
    fail(
        "this MPI does not let a program's threads take turns (MPI_THREAD_SERIALIZED): use another "
        "one, or start evo without mpirun");
  }
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return std::make_unique<MpiCommunicator>(rank, size, options);
}

}  // namespace evo::comm
