#include "train/ranks/partition.h"

#include <algorithm>

namespace evo::train {

Partition::Partition(std::span<const model::Parameter> parameters, const Trains& trains, int rank,
                     int size, int64_t bucket_floats) {
  const model::Parameter& last = parameters.back();
  const int64_t total = last.offset + last.numel();
  if (size == 1) {
    buckets_.push_back({.begin = 0, .end = total});
  } else {
    for (const model::Parameter& p : parameters) add(p, trains(p), bucket_floats);
  }
  for (Bucket& bucket : buckets_) {
    const comm::IndexRange own = comm::part_of(bucket.size(), rank, size);
    bucket.own_begin = bucket.begin + own.begin;
    bucket.own_end = bucket.begin + own.end;
    bucket.own_at = own_size_;
    own_size_ += own.size();
  }
}

/// A parameter joins the bucket before it, or begins one; a large one has several. What trains and
/// what does not are apart: only the first is sent.
void Partition::add(const model::Parameter& p, bool trained, int64_t most) {
  const int64_t end = p.offset + p.numel();
  const bool joins = !buckets_.empty() && buckets_.back().trained == trained &&
                     end - buckets_.back().begin <= most;
  if (joins) {
    buckets_.back().end = end;
    buckets_.back().first_use = std::min(buckets_.back().first_use, p.first_use);
    return;
  }
  for (int64_t begin = p.offset; begin < end; begin += most) {
    buckets_.push_back({.begin = begin,
                        .end = std::min(end, begin + most),
                        .trained = trained,
                        .first_use = p.first_use});
  }
}

std::vector<Bucket> Partition::in_order_of_use() const {
  std::vector<Bucket> sorted = buckets_;
  std::ranges::stable_sort(sorted, {}, &Bucket::first_use);
  return sorted;
}

}  // namespace evo::train
