#include "train/examples/blocks.h"

#include <algorithm>
#include <numeric>

#include "base/shuffle.h"
#include "flow/elbo.h"

namespace evo::train {
namespace {

// Shares of the ways to draw the times of a block; the rest is independent.
constexpr double kFreshShare = 0.35, kStaircaseShare = 0.30, kSharedShare = 0.20;

struct BlockTimes {
  std::vector<float> times;
  bool uniform = false;
};

double uniform_time(double min_time, Random& random) {
  return min_time + (1 - min_time) * random.uniform();
}

/// Left tokens more mature: a ramp with random place, slope and jitter.
std::vector<float> staircase(int64_t length, double min_time, Random& random) {
  const double slope = std::exp(std::log(0.05) * random.uniform());  // 0.05 .. 1 per token
  const double front = (1.25 * random.uniform() - 0.25) * static_cast<double>(length);
  std::vector<float> times(static_cast<size_t>(length));
  for (size_t j = 0; j < times.size(); ++j) {
    const double t = 0.5 + slope * (static_cast<double>(j) - front) + 0.1 * random.normal();
    times[j] = static_cast<float>(std::clamp(t, min_time, 1.0));
  }
  return times;
}

std::vector<float> independent(int64_t length, double min_time, Random& random) {
  std::vector<float> times(static_cast<size_t>(length));
  for (float& time : times) {
    const double t = uniform_time(min_time, random);
    time = static_cast<float>(random.uniform() < 0.25 ? std::max(min_time, 0.05 * t) : t);
  }
  return times;
}

/// As in diffusion decoding: any of the tokens are ripe, the others fresh.
std::vector<float> ripening(int64_t length, double min_time, Random& random) {
  const double share = random.uniform();
  std::vector<float> times(static_cast<size_t>(length));
  for (float& time : times) {
    time = random.uniform() < share ? static_cast<float>(min_time) : 1.0f;
  }
  return times;
}

BlockTimes sample_times(const TrainConfig& config, int64_t length, double min_time,
                        Random& random) {
  const auto count = static_cast<size_t>(length);
  if (config.time_sampler == "ripening") return {ripening(length, min_time, random)};
  const double kind =
      config.time_sampler == "uniform" ? kFreshShare + kStaircaseShare : random.uniform();
  if (kind < kFreshShare) return {std::vector<float>(count, 1.0f)};
  if (kind < kFreshShare + kStaircaseShare) return {staircase(length, min_time, random)};
  if (kind < kFreshShare + kStaircaseShare + kSharedShare) {
    return {std::vector<float>(count, static_cast<float>(uniform_time(min_time, random))), true};
  }
  return {independent(length, min_time, random)};
}

/// Blocks at a random offset: the first one is cut short.
template <class Add>
void blocks_of_one_length(const TrainConfig& config, int64_t length, Random& random,
                          const Add& add) {
  const int64_t block = config.block_lengths[random.below(config.block_lengths.size())];
  int64_t first = 0;
  int64_t last = 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(block)));
  while (first < length) {
    last = std::min(last, length);
    add(first, last);
    first = last;
    last += block;
  }
}

/// A block for every answer, that is every run of learnt rows, and a part of what follows: where a
/// text ends is not known when its block is opened. What comes before an answer is a block too.
template <class Add>
void answer_blocks(std::span<const uint8_t> learn, int64_t length, Random& random, const Add& add) {
  const auto is_answer = [&](int64_t row) { return learn.empty() || learn[row] != 0; };
  int64_t row = 0;
  while (row < length) {
    const int64_t first = row;
    const bool answer = is_answer(row);
    while (row < length && is_answer(row) == answer) ++row;
    if (answer) {
      const auto slack = static_cast<int64_t>(random.below(static_cast<uint64_t>(row - first)));
      const int64_t end = std::min(length, row + slack);
      while (row < end && !is_answer(row)) ++row;
    }
    add(first, row);
  }
}

}  // namespace

void BlockPlan::append_block(int64_t first, int64_t last) {
  const auto count = static_cast<size_t>(last - first);
  begin.insert(begin.end(), count, static_cast<int32_t>(first));
  end.insert(end.end(), count, static_cast<int32_t>(last));
  starts.push_back(1);
  starts.insert(starts.end(), count - 1, 0);
}

void BlockPlan::cut(int64_t sequence_row, int64_t row) {
  const auto at = static_cast<size_t>(sequence_row + row);
  if (starts[at] != 0) return;
  starts[at] = 1;
  const auto fill = [&](std::vector<int32_t>& column, int64_t first, int64_t last) {
    std::fill(column.begin() + sequence_row + first, column.begin() + sequence_row + last,
              static_cast<int32_t>(row));
  };
  const int64_t last = end[at];
  fill(end, begin[at], row);
  fill(begin, row, last);
}

BlockPlan sample_blocks(const TrainConfig& config, const BlockRows& rows, double min_time,
                        Random& random) {
  BlockPlan plan;
  const auto add = [&](int64_t first, int64_t last) {
    plan.append_block(first, last);
    const BlockTimes drawn = sample_times(config, last - first, min_time, random);
    plan.times.insert(plan.times.end(), drawn.times.begin(), drawn.times.end());
    plan.uniform_time.insert(plan.uniform_time.end(), drawn.times.size(), drawn.uniform ? 1 : 0);
  };
  const auto length = static_cast<size_t>(rows.length);
  for (int64_t s = 0; s < rows.sequences; ++s) {
    if (config.answer_block_share > 0 && random.uniform() < config.answer_block_share) {
      const size_t first = static_cast<size_t>(s) * length;
      answer_blocks(rows.learn.empty() ? rows.learn : rows.learn.subspan(first, length),
                    rows.length, random, add);
    } else if (random.uniform() < config.whole_block_share) {
      add(0, rows.length);
    } else {
      blocks_of_one_length(config, rows.length, random, add);
    }
  }
  return plan;
}

BlockPlan elbo_blocks(int64_t sequences, int64_t length, int64_t block, double min_time,
                      Random& random) {
  const int64_t per_sequence = (length + block - 1) / block;
  std::vector<double> times = flow::stratified_times(static_cast<int>(sequences * per_sequence),
                                                     random.uniform(), min_time);
  shuffle(times, random);
  BlockPlan plan;
  for (size_t i = 0; i < times.size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) % per_sequence * block;
    const int64_t last = std::min(first + block, length);
    plan.append_block(first, last);
    plan.times.insert(plan.times.end(), static_cast<size_t>(last - first),
                      static_cast<float>(times[i]));
  }
  plan.uniform_time.assign(plan.times.size(), 1);
  return plan;
}

}  // namespace evo::train
