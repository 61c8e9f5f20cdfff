// Drafts behind a text that no pass has verified yet, and how far they may go.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "decode/draft/proposer.h"
#include "decode/options.h"
#include "decode/policy/policy.h"
#include "decode/session/sequence.h"

namespace evo::decode {

/// Grows token by token, each given those before it, as long as that pays.
class DraftChain {
 public:
  /// Both must outlive the object. Without a policy drafts go on while the probability that all
  /// are kept is above DecodeOptions::draft_threshold.
  DraftChain(const DecodeOptions& options, const DraftPolicy* policy)
      : options_(options), policy_(policy) {}

  /// Begins behind `sequence`: at most `possible` drafts, of this kind. The pass that verifies them
  /// will have `window` evolving tokens.
  void begin(DraftKind kind, const Sequence& sequence, int64_t possible, int64_t window);
  /// Whether to propose another one.
  [[nodiscard]] bool wants_more() const;
  /// False if the proposal does not pay: then it is no draft, and there are no more.
  bool take(const Proposal& proposal);

  [[nodiscard]] DraftKind kind() const { return kind_; }
  [[nodiscard]] std::span<const int32_t> tokens() const { return tokens_; }
  [[nodiscard]] int64_t size() const { return std::ssize(tokens_); }
  [[nodiscard]] int64_t proposals() const { return proposals_; }  ///< drafts, and a refused one
  /// The token before the next draft, and the shape of its logits.
  [[nodiscard]] int32_t previous() const { return previous_; }
  [[nodiscard]] const Shaper& shaper() const { return shaper_; }
  /// What became of them. It refers to the chain.
  [[nodiscard]] DraftOutcome outcome(const Verdict& verdict) const;
  void clear();

 private:
  [[nodiscard]] int64_t coming_rows() const { return 1 + size() + window_; }

  const DecodeOptions& options_;
  const DraftPolicy* policy_;
  DraftKind kind_ = DraftKind::kNone;
  int64_t possible_ = 0, proposals_ = 0, window_ = 0;
  int32_t previous_ = 0;
  EndTokens ends_;
  double all_kept_ = 1;  // the probability of that
  Shaper shaper_;
  std::vector<int32_t> tokens_;
  std::vector<float> maturities_;
  std::optional<Proposal> refused_;
};

}  // namespace evo::decode
