// Which rank keeps what: the flat array of parameters in buckets, each bucket in parts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "model/parameters.h"

namespace evo::train {

/// A stretch of the flat array whose gradients travel together. Every rank owns one part of it
/// (part_of()): it adds up the gradients of that part, keeps its moments and its average, and
/// updates its weights. All ranks hold all weights and have a gradient for each (ZeRO, stage 1;
/// Rajbhandari et al. 2020).
struct Bucket {
  int64_t begin = 0, end = 0;          ///< floats of the flat array
  bool trained = true;                 ///< else its weights stay as they are on every rank
  int64_t first_use = 0;               ///< the first of its parameters' (Parameter::first_use)
  int64_t own_begin = 0, own_end = 0;  ///< this rank's part, in the flat array
  int64_t own_at = 0;                  ///< where that part begins in arrays of what is owned

  [[nodiscard]] int64_t size() const { return end - begin; }
  [[nodiscard]] int64_t own_size() const { return own_end - own_begin; }
};

class Partition {
 public:
  /// A bucket's gradients are on their way while those of others are computed, so there should be
  /// many; each costs a message to every rank, so they should be larger the more ranks there are.
  static constexpr int64_t bucket_floats(int64_t ranks) {
    return std::clamp(ranks << 16, int64_t{1} << 20, int64_t{1} << 26);
  }

  using Trains = std::function<bool(const model::Parameter&)>;

  /// Of rank `rank` of `size`. A rank alone has one bucket, all of which it owns.
  Partition(std::span<const model::Parameter> parameters, const Trains& trains, int rank, int size,
            int64_t bucket_floats);
  Partition(std::span<const model::Parameter> parameters, const Trains& trains, int rank, int size)
      : Partition(parameters, trains, rank, size, bucket_floats(size)) {}

  [[nodiscard]] const std::vector<Bucket>& buckets() const { return buckets_; }
  [[nodiscard]] int64_t own_size() const { return own_size_; }  ///< floats, over all buckets
  [[nodiscard]] std::vector<Bucket> in_order_of_use() const;

  /// Calls visit(parameter, part) for what of each parameter lies in the rank's own part of
  /// `bucket`; `part` counts from there.
  template <class Visit>
  static void for_each_owned(const Bucket& bucket, std::span<const model::Parameter> parameters,
                             const Visit& visit) {
    for (const model::Parameter& p : parameters) {
      const int64_t begin = std::max(p.offset, bucket.own_begin);
      const int64_t end = std::min(p.offset + p.numel(), bucket.own_end);
      if (begin >= end) continue;
      visit(p, comm::IndexRange{begin - bucket.own_begin, end - bucket.own_begin});
    }
  }

 private:
  void add(const model::Parameter& parameter, bool trained, int64_t most);

  std::vector<Bucket> buckets_;
  int64_t own_size_ = 0;
};

}  // namespace evo::train
