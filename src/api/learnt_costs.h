// What exact decoding learns of a model on this machine, kept in a folder.
#pragma once

#include <filesystem>

#include "decode/policy/cost_store.h"

namespace evo {

/// The decoder begins with what was learnt before, and what it learns is kept when this ends.
class LearntCosts {
 public:
  /// `decoder`, which must outlive the object, has no sessions yet. An empty `folder`: nothing is
  /// kept.
  LearntCosts(const decode::Decoder& decoder, tensor::Precision precision,
              const std::filesystem::path& folder);
  ~LearntCosts() { store_.keep(decoder_); }
  LearntCosts(const LearntCosts&) = delete;
  LearntCosts& operator=(const LearntCosts&) = delete;

 private:
  const decode::Decoder& decoder_;
  decode::CostStore store_;
};

}  // namespace evo
