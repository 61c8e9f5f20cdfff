// One step of the flow for a window, without verification: the tokens of which the model is most
// sure ripen, wherever they stand; the others stay undecided, and see the ripe ones in the next
// pass. When all are ripe, the window is committed.
#pragma once

#include "decode/draft/proposer.h"
#include "decode/session/evolving_window.h"
#include "decode/session/sequence.h"

namespace evo::decode {

class Diffusion {
 public:
  /// All must outlive the object.
  Diffusion(const Decoder& decoder, const DecodeOptions& options, const Proposer& proposer)
      : decoder_(decoder), options_(options), proposer_(proposer) {}

  /// What a pass made of the window, h [W, D]: a hypothesis for every token, and codes that moved.
  void propose(const tensor::Tensor& h, const Sequence& sequence, EvolvingWindow& window) const;
  /// Moves the surest hypotheses' codes there; as many as the window's age asks for, or more if the
  /// model is sure of more.
  void ripen(EvolvingWindow& window) const;
  /// Whether the window is text now. What stands behind the end of the text need not be ripe.
  [[nodiscard]] bool is_ripe(const Sequence& sequence, EvolvingWindow& window) const;

 private:
  [[nodiscard]] tensor::Tensor evolve_codes(const tensor::Tensor& h, EvolvingWindow& window) const;

  const Decoder& decoder_;
  const DecodeOptions& options_;
  const Proposer& proposer_;
};

}  // namespace evo::decode
