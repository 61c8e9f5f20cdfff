#include "train/loss/validation.h"

#include <algorithm>

#include "train/examples/streams.h"
#include "train/metrics.h"

namespace evo::train {
namespace {

// Sequences are scored along block:8 for the ELBO shown while training.
constexpr int64_t kValidationBlock = 8;

}  // namespace

int64_t held_out_begin(const data::TokenFile& tokens, const RunConfig& config) {
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

int64_t validation_passes(const RunConfig& config, int64_t sequences, int ranks) {
  int64_t passes = 0;
  for (int64_t first = 0; first < sequences; first += config.batch_size) {
    const int64_t own = std::min(config.batch_size, sequences - first) / ranks;
    passes += std::ssize(micro_batches(std::max<int64_t>(own, 1), config.micro_batch));
  }
  return passes;
}

LossReport validation_loss(const model::Model& model, const data::SequenceLoader& held_out,
                           const RunConfig& config, const ValidationOptions& options,
                           comm::Communicator& ranks) {
  const LossWeights every_part{1, 1, 1};
  LossMean mean;
  int64_t pass = 0;
  for (int64_t first = 0; first < options.sequences; first += config.batch_size) {
    const int64_t sequences = std::min(config.batch_size, options.sequences - first);
    TrainingBatch batch = TrainingBatch::from_loader(held_out, first, sequences);
    if (config.flow) {
      const uint64_t stream = stream_id({kValidationStream, static_cast<uint64_t>(first)});
      Random random(7, stream);
      batch.plan =
          elbo_blocks(sequences, batch.length, kValidationBlock, model.time().min_time(), random);
      batch.stream = stream;
    }
    LossReport own;
    const comm::IndexRange part = comm::part_of(sequences, ranks.rank(), ranks.size());
    for (const comm::IndexRange micro : micro_batches(part.size(), config.micro_batch)) {
      if (micro.size() == 0) continue;  // more ranks than sequences
      if (options.before_pass) options.before_pass(pass++);
      tensor::Tape tape(tensor::Tape::Mode::kInference, options.precision);
      own += training_loss(tape, model, batch.share(part.begin + micro.begin, micro.size()),
                           every_part);
    }
    const comm::RankTable shares(ranks, to_numbers(own));
    mean.add(sum_of_reports(shares, 0), static_cast<double>(sequences));
  }
  return mean.mean();
}

}  // namespace evo::train
