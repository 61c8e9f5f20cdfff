// What exact decoding learns of a model on this machine, kept in the user's cache folder.
#pragma once

#include <filesystem>

#include "decode/policy/cost_store.h"

namespace evo {

/// $XDG_CACHE_HOME/evo, else ~/.cache/evo; empty, so that nothing is kept, where neither variable
/// is an absolute path.
[[nodiscard]] std::filesystem::path cache_folder();

/// The decoder begins with what was learnt before, and what it learns is kept when this ends.
class LearntCosts {
 public:
  /// `decoder`, which must outlive the object, has no sessions yet.
  LearntCosts(const Decoder& decoder, Precision precision,
              const std::filesystem::path& folder = cache_folder());
  ~LearntCosts() { store_.keep(decoder_); }
  LearntCosts(const LearntCosts&) = delete;
  LearntCosts& operator=(const LearntCosts&) = delete;

 private:
  const Decoder& decoder_;
  CostStore store_;
};

}  // namespace evo
