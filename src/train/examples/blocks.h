// Where training blocks lie and how mature their tokens are.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "train/config.h"

namespace evo::train {

/// Per evolving row of `sequences` sequences of `length` rows; rows of a sequence are in order.
struct BlockPlan {
  std::vector<int32_t> begin, end;    ///< the row's block: rows [begin, end) of its sequence
  std::vector<uint8_t> starts;        ///< 1 for the first row of a block
  std::vector<float> times;           ///< in [min_time, 1]
  std::vector<uint8_t> uniform_time;  ///< 1 if the block has one time, uniform on [min_time, 1]:
                                      ///< the rows from which the ELBO can be estimated
  void append_block(int64_t first, int64_t last);
  /// A block that holds row `row` of the sequence, but does not begin there, becomes two, of which
  /// the second begins there; times stay. `sequence_row` is the sequence's first row.
  void cut(int64_t sequence_row, int64_t row);
};

/// What blocks are laid over: sequences of `length` rows; `learn` [sequences * length] marks the
/// answers, empty if everything is one.
struct BlockRows {
  int64_t sequences = 0, length = 0;
  std::span<const uint8_t> learn = {};
};

/// Draws lengths, offsets and times as the configuration says.
BlockPlan sample_blocks(const TrainConfig& config, const BlockRows& rows, double min_time,
                        Random& random);

/// Blocks of one length, each with a shared time from a low-discrepancy set over all blocks: for
/// estimating the ELBO along block paths. A random shift makes every time uniform.
BlockPlan elbo_blocks(int64_t sequences, int64_t length, int64_t block, double min_time,
                      Random& random);

}  // namespace evo::train
