#include "train/examples/infill.h"

#include <algorithm>

#include "train/examples/streams.h"

namespace evo::train {
namespace {

constexpr int64_t kLongestMiddle = 64;
constexpr double kExactShare = 0.5;  // of the splits: the suffix stays where it is in the text

std::span<int32_t> rows_of(std::vector<int32_t>& rows, const TrainingBatch& batch,
                           int64_t sequence) {
  return std::span(rows).subspan(sequence * batch.length, batch.length);
}

bool has_unlearnt(const TrainingBatch& batch, int64_t sequence) {
  if (batch.learn.empty()) return false;
  const auto rows = std::span(batch.learn).subspan(sequence * batch.length, batch.length);
  return std::ranges::find(rows, 0) != rows.end();
}

/// Uniform in [first, last].
int64_t uniform_int(int64_t first, int64_t last, Random& random) {
  return first + static_cast<int64_t>(random.below(static_cast<uint64_t>(last - first + 1)));
}

}  // namespace

void infill(TrainingBatch& batch, const InfillOptions& options, int64_t first_sequence) {
  if (options.end_of_text < 0) return;
  for (int64_t s = 0; s < batch.sequences; ++s) {
    const auto number = static_cast<uint64_t>(first_sequence + s);
    Random random(options.seed, stream_id({kInfillStream, number}));
    if (random.uniform() >= options.share || has_unlearnt(batch, s)) continue;
    const auto split = sample_split(rows_of(batch.ids, batch, s), options, random);
    if (split) rearrange(batch, s, *split, options.end_of_text);
  }
}

std::optional<InfillSplit> sample_split(std::span<const int32_t> text, const InfillOptions& options,
                                        Random& random) {
  const auto length = static_cast<int64_t>(text.size());
  EVO_CHECK(length <= options.position_limit);
  // At least one row of each part: a token of prefix, one of middle, and the suffix's first token
  // with the next one as its target.
  if (length < 4) return std::nullopt;
  InfillSplit split;
  split.prefix = uniform_int(1, length - 3, random);
  const int64_t room = std::min(kLongestMiddle, length - 2 - split.prefix);
  const auto rest = text.subspan(split.prefix, room);
  const int64_t longest = std::ranges::find(rest, options.end_of_text) - rest.begin();
  if (longest == 0) return std::nullopt;
  split.middle = uniform_int(1, longest, random);
  if (random.uniform() < kExactShare) return split;
  // The suffix's last evolving row is at position length - 1 + slack.
  const int64_t most = std::min(2 * split.middle, options.position_limit - length);
  split.slack = uniform_int(0, most, random);
  return split;
}

void rearrange(TrainingBatch& batch, int64_t sequence, const InfillSplit& split,
               int32_t end_of_text) {
  const auto ids = rows_of(batch.ids, batch, sequence);
  const auto targets = rows_of(batch.targets, batch, sequence);
  const auto positions = rows_of(batch.positions, batch, sequence);
  const std::vector<int32_t> text(ids.begin(), ids.end());
  const int64_t p = split.prefix - 1, q = split.prefix + split.middle;
  const int64_t suffix_rows = batch.length - 1 - q;

  // The prefix is where it was.
  auto row = static_cast<size_t>(split.prefix);
  const auto append = [&](int64_t first, int64_t count, int64_t shift) {
    for (int64_t i = first; i < first + count; ++i, ++row) {
      ids[row] = text[i];
      targets[row] = text[i + 1];
      positions[row] = static_cast<int32_t>(i + shift);
    }
  };
  append(q, suffix_rows, split.slack);
  append(p, split.middle + 1, 0);
  targets.back() = end_of_text;

  if (batch.plan.times.empty()) return;
  batch.plan.cut(sequence * batch.length, split.prefix);
  batch.plan.cut(sequence * batch.length, split.prefix + suffix_rows);
}

}  // namespace evo::train
