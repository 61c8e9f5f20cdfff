// Sequences for training and validation, in a pseudo-random order that is a pure function of the
// sequence's index: the position in a checkpoint is one integer, and any number of processes can
// share the indices.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/loader_mixture.h"
#include "data/loader_order.h"
#include "data/tokens.h"

namespace evo::data {

/// The sequences of one source, in its SequenceOrder; or of several, each in its own order, mixed
/// in proportion to their weights. In a mixture a source begins anew when it is through, while
/// others still are on their way; its epoch is as many sequences as the sources together have.
class SequenceLoader {
 public:
  /// `tokens` must outlive the loader. With several sources, [begin, end) must be the training or
  /// the held-out part of `tokens`. Throws Error if a source has less than one window there (but
  /// one whose held-out part has none only goes without), or if an id is not below `vocab_size`.
  SequenceLoader(const TokenFile& tokens, const LoaderOptions& options);

  /// The sequence of global index `index` >= 0.
  void fill(int64_t index, std::span<int32_t> out) const;  // [length + 1]
  /// Which of its tokens are targets, see TokenFile::copy_learnt().
  void fill_learnt(int64_t index, std::span<uint8_t> out) const;  // [length + 1]
  [[nodiscard]] bool has_unlearnt() const { return tokens_.has_unlearnt(); }

  [[nodiscard]] int64_t sequences_per_epoch() const;
  [[nodiscard]] int64_t length() const { return length_; }

  /// Position in the file of the first token of sequence `index`.
  [[nodiscard]] int64_t start_of(int64_t index) const;

 private:
  void add_sources(const LoaderOptions& options);

  const TokenFile& tokens_;
  int64_t length_;
  std::vector<SequenceOrder> orders_;  // of each source
  std::optional<Mixture> mixture_;     // of several
};

}  // namespace evo::data
