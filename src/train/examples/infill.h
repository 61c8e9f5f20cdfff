// Training sequences in the order in which a middle is filled in: prefix, suffix, middle.
//
// Only the order of the rows changes (their rank, by which they see each other); their positions
// stay those of the text, except that the suffix may lie further to the right. So the n rows of a
// text w_0 .. w_{n-1}, with prefix w_0 .. w_p and suffix from w_q on, become
//
//   rows       w_0 .. w_p          w_q .. w_{n-2}          w_p, w_{p+1} .. w_{q-1}
//   targets    w_1 .. w_{p+1}      w_{q+1} .. w_{n-1}      w_{p+1} .. w_{q-1}, end of text
//   positions  0 .. p              q .. n - 2, + slack     p .. q - 1
//
// where the end of text says that the middle is complete. At generation only a bound of its length
// is known, and the suffix lies behind that: hence the slack.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/random.h"
#include "train/loss/loss.h"

namespace evo::train {

struct InfillOptions {
  double share = 0;            ///< of the sequences that are rearranged
  int32_t end_of_text = -1;    ///< -1: there is none, and nothing is rearranged
  int64_t position_limit = 0;  ///< all positions are below
  uint64_t seed = 0;
};

/// Rearranges a share of the sequences in `batch`, of those all of whose targets count, and cuts
/// their blocks of evolving rows where one part ends and the next begins. What happens to a
/// sequence is a pure function of the seed and of its number: `first_sequence` is that of the
/// batch's first one.
void infill(TrainingBatch& batch, const InfillOptions& options, int64_t first_sequence);

/// How a text is taken apart.
struct InfillSplit {
  int64_t prefix = 0, middle = 0;  ///< tokens; p + 1 and q - p - 1
  int64_t slack = 0;               ///< positions by which the suffix is moved
};

/// Draws a place and a length of at most 64 tokens for the middle of `text` [n], which holds no end
/// of text. Nothing if there is none at that place, or no row for the suffix after it.
std::optional<InfillSplit> sample_split(std::span<const int32_t> text, const InfillOptions& options,
                                        Random& random);

/// Puts the rows of sequence `sequence` of `batch`, which are in the text's order, into that of
/// `split`.
void rearrange(TrainingBatch& batch, int64_t sequence, const InfillSplit& split,
               int32_t end_of_text);

}  // namespace evo::train
