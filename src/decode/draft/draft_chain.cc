#include "decode/draft/draft_chain.h"

#include <algorithm>

namespace evo::decode {

void DraftChain::begin(DraftKind kind, const Sequence& sequence, int64_t possible, int64_t window) {
  clear();
  kind_ = kind;
  // A draft must leave room for the token that its verification yields.
  possible_ = std::min(possible, sequence.room() - 1);
  window_ = window;
  previous_ = sequence.text().back();
  ends_ = sequence.ends();
  shaper_ = sequence.shaper();
}

bool DraftChain::wants_more() const {
  return size() < possible_ && !ends_.has(previous_) &&
         (policy_ == nullptr || policy_->worth_proposing(all_kept_, coming_rows(), kind_));
}

bool DraftChain::take(const Proposal& proposal) {
  ++proposals_;
  all_kept_ *= policy_ != nullptr ? policy_->calibration(kind_).kept(proposal.maturity)
                                  : static_cast<double>(proposal.maturity);
  if (policy_ != nullptr ? !policy_->worth_verifying(all_kept_, coming_rows())
                         : all_kept_ < options_.draft_threshold * options_.lenience()) {
    refused_ = proposal;
    return false;
  }
  previous_ = proposal.token;
  shaper_.advance(proposal.token);
  tokens_.push_back(proposal.token);
  maturities_.push_back(proposal.maturity);
  return true;
}

DraftOutcome DraftChain::outcome(const Verdict& verdict) const {
  DraftOutcome outcome{kind_, possible_, proposals_, maturities_, verdict.accepted};
  if (refused_) outcome.refused = {refused_->maturity, refused_->token == verdict.next};
  return outcome;
}

void DraftChain::clear() {
  kind_ = DraftKind::kNone;
  possible_ = proposals_ = window_ = 0;
  all_kept_ = 1;
  tokens_.clear();
  maturities_.clear();
  refused_.reset();
}

}  // namespace evo::decode
