// Where drafts come from. A source proposes, for each text that asks, what its next token may be;
// whether that is drafted, and how far, the chain decides, and verification what is kept: so no
// source can change a text in exact mode.
#pragma once

#include <span>

#include "decode/draft/draft_chain.h"
#include "decode/draft/proposer.h"
#include "decode/session/faults.h"
#include "decode/session/sequence.h"

namespace evo::decode {

class DraftSource;

/// A text that asks for its next draft.
struct DraftRequest {
  size_t session;  ///< in Faults
  DraftSource* source;
  const Sequence* sequence;
  const DraftChain* chain;
  const Proposer* proposer;
  Proposal proposal = {};  ///< the answer

  [[nodiscard]] int64_t rank() const { return sequence->size() + chain->size(); }
};

/// One for each text, with what it knows of that text.
class DraftSource {
 public:
  virtual ~DraftSource() = default;

  /// Answers requests, each to a source of this one's type. What goes wrong with one of them goes
  /// to `faults`.
  virtual void propose(std::span<DraftRequest> requests, Faults& faults) const = 0;
};

}  // namespace evo::decode
