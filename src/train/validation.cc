#include "train/validation.h"

#include <algorithm>

#include "train/metrics.h"
#include "train/streams.h"

namespace evo {
namespace {

// Sequences are scored along block:8 for the ELBO shown while training.
constexpr int64_t kValidationBlock = 8;

}  // namespace

int64_t held_out_begin(const TokenFile& tokens, const RunConfig& config) {
  const int64_t window = config.sequence_length + 1;
  if (tokens.size() < 2 * window) {
    fail(
        "{}: the text has {} tokens, but `sequence_length` {} needs at least {}: {} to train on "
        "and as many held out. Use a longer text or a shorter `sequence_length`.",
        tokens.path().string(), tokens.size(), config.sequence_length, 2 * window, window);
  }
  const auto held_out =
      static_cast<int64_t>(config.validation_fraction * static_cast<double>(tokens.size()));
  const int64_t own = tokens.size() - tokens.held_out_begin();
  const bool enough = own >= std::max(held_out / 2, window);
  if (enough && own <= 2 * held_out && tokens.held_out_begin() >= window)
    return tokens.held_out_begin();
  return tokens.size() - std::max(held_out, window);
}

LossReport validation_loss(const Model& model, const SequenceLoader& held_out,
                           const RunConfig& config, Precision precision, Communicator& ranks) {
  const int64_t count = std::min(config.validation_sequences, held_out.sequences_per_epoch());
  const LossWeights every_part{1, 1, 1};
  LossMean mean;
  for (int64_t first = 0; first < count; first += config.batch_size) {
    const int64_t sequences = std::min(config.batch_size, count - first);
    TrainingBatch batch = TrainingBatch::from_loader(held_out, first, sequences);
    if (config.flow) {
      const uint64_t stream = stream_id({kValidationStream, static_cast<uint64_t>(first)});
      Random random(7, stream);
      batch.plan =
          elbo_blocks(sequences, batch.length, kValidationBlock, model.time().min_time(), random);
      batch.stream = stream;
    }
    LossReport own;
    if (const IndexRange part = part_of(sequences, ranks.rank(), ranks.size()); part.size() > 0) {
      Tape tape(Tape::Mode::kInference, precision);
      own = training_loss(tape, model, batch.share(part.begin, part.size()), every_part);
    }
    const RankTable shares(ranks, to_numbers(own));
    mean.add(sum_of_reports(shares, 0), static_cast<double>(sequences));
  }
  return mean.mean();
}

}  // namespace evo
