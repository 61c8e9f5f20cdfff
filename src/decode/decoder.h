// A model with all that its sessions share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "decode/policy/pass_times.h"
#include "decode/policy/policy.h"
#include "decode/sampling/end_tokens.h"
#include "model/model.h"
#include "ops/head.h"
#include "tokenizer/tokenizer.h"

namespace evo::decode {

/// A model as sessions share it.
class Decoder {
 public:
  /// `model` must outlive the decoder, packed. With `measure` false nothing depends on the clock:
  /// not only texts, but passes and drafts are the same everywhere.
  explicit Decoder(const model::Model& model, bool measure = true);
  /// The same for texts of this tokenizer. A model may have room for more ids than its tokenizer
  /// has tokens (rounded up for speed, say): those are never chosen, nor named as alternatives.
  Decoder(const model::Model& model, const tokenizer::Tokenizer& tokenizer, bool measure = true);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  [[nodiscard]] const model::Model& model() const { return model_; }
  /// What ends a text: the tokens that the model's files name (ModelConfig::eos_token_ids) or,
  /// where they name none, that which ends the documents of its tokenizer.
  [[nodiscard]] const EndTokens& ends() const { return ends_; }
  /// All logits that tokens are chosen by, or named by, are made here: those of head_logits(), less
  /// the ids that the tokenizer does not have. [rows of x, V], or a column for each of `tokens`, in
  /// rising order, if `unembed` has rows for these only.
  [[nodiscard]] tensor::Tensor logits(tensor::Tape& tape, const tensor::Tensor& x,
                                      const ops::Unembedding& unembed,
                                      const ops::PosteriorTerm* term,
                                      std::span<const int32_t> tokens = {}) const;
  [[nodiscard]] const tensor::Tensor& codes() const {
    return codes_;
  }  ///< [V, d]; without flow undefined
  /// What passes cost anywhere, so that what depends on it is the same everywhere.
  [[nodiscard]] const PassCost& nominal_cost() const { return nominal_; }
  [[nodiscard]] bool measures() const { return measure_; }
  /// What all exact sessions learn together: a new one begins with the experience of those before.
  [[nodiscard]] DraftPolicy& exact_policy() const { return exact_policy_; }
  /// What they learn of passes, if it measures.
  [[nodiscard]] PassTimes& times() const { return times_; }
  /// A pass that only exact sessions shared, `sessions` of them, and that kept so many drafts.
  void learn(const PassRun& run, int64_t sessions, int64_t accepted) const;

 private:
  const model::Model& model_;
  bool measure_;
  EndTokens ends_;
  std::vector<int32_t> absent_;  // ids without a token, in rising order
  tensor::Tensor codes_;
  PassCost nominal_ = PassCost::nominal();
  mutable PassTimes times_;
  mutable DraftPolicy exact_policy_;
};

}  // namespace evo::decode
