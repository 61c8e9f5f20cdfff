// One text being generated, in any mode.
//
// State: the committed text with its exact KV cache; drafts, which are not verified yet; and a
// window of evolving tokens behind them. One forward pass (session/shared_pass.h) takes
//
//     [ tokens committed since the last pass | drafts ; window ]
//
// as mature and evolving rows and gives the autoregressive distribution after every mature row and
// a hidden state for every window row. Then:
//
//   verify   the longest prefix of the drafts that survives is committed, and one further token
//            from the autoregressive distribution (sampler.h);
//   draft    a source proposes tokens, each given the one before it, as long as that pays
//            (draft/, policy/): from the window's hidden states or, after a rejection, from those
//            that were computed before the rejected draft was seen; without a window, or where it
//            has nothing left, ahead of the last mature token;
//   evolve   in diffusion mode nothing is verified: the window ripens (session/diffusion.h).
//
// Modes are settings: `ar` has no window; `exact` verifies with lenience 1; `evo` with lenience
// (1 - balance)^2; `diffusion` does not verify. Several sessions, of any modes, can share passes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "decode/decoder.h"
#include "decode/draft/ahead_source.h"
#include "decode/draft/draft_chain.h"
#include "decode/draft/proposer.h"
#include "decode/draft/window_source.h"
#include "decode/options.h"
#include "decode/prompt.h"
#include "decode/session/diffusion.h"
#include "decode/session/evolving_window.h"
#include "decode/session/pass_trace.h"
#include "decode/session/sequence.h"

namespace evo::decode {

/// When a session reads its prompt: while it is made, or piece by piece in the passes that it
/// shares with others, which a long prompt then does not keep waiting.
enum class PromptReading { kAtOnce, kInPasses };

class Session {
 public:
  /// Reads the prompt. It must not be empty and must leave room for one token in the context; else
  /// Error. `decoder` must outlive the session. `cache` holds
  /// a beginning of the prompt, the last token excluded; without it the session has its own memory.
  Session(const Decoder& decoder, const DecodeOptions& options, Prompt prompt, EndTokens ends,
          PromptReading reading = PromptReading::kAtOnce, std::optional<model::KvCache> cache = {});
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// From now on fresh evolving tokens begin as `tokens`, made noisy to time t in (0, 1], instead
  /// of as pure noise: they are changed as far as that lets them. Diffusion mode only; before the
  /// first step.
  void begin_from(std::vector<int32_t> tokens, double t);

  /// One forward pass. Not after done().
  PassTrace step();
  /// The same for several sessions of one decoder in one pass: what each generates does not depend
  /// on the others. None may be done(). Of prompts that are still being read the pass takes
  /// `prompt_rows` tokens at most, those of the first sessions first. What goes wrong with one of
  /// the sessions alone is told in its place of `faults`, which is empty for the others: only that
  /// session cannot go on. Without `faults` it is thrown, as what concerns all is.
  static constexpr int64_t kPromptRows = 256;
  static std::vector<PassTrace> step_together(std::span<Session* const> sessions,
                                              int64_t prompt_rows = kPromptRows,
                                              std::vector<std::string>* faults = nullptr);

  [[nodiscard]] bool done() const { return sequence_.done(); }
  /// Tokens of the prompt that passes must read before the first one that generates.
  [[nodiscard]] int64_t unread() const { return sequence_.unread(); }
  /// Prompt and generated tokens, in the order in which the network sees them.
  [[nodiscard]] std::span<const int32_t> text() const { return sequence_.text(); }
  /// Where the tokens of the prompt stand.
  [[nodiscard]] std::span<const int32_t> prompt_positions() const {
    return sequence_.prompt_positions();
  }
  /// Keys and values of the beginning of text(), for sessions to come. This one cannot go on.
  [[nodiscard]] model::KvCache release_cache() { return std::move(sequence_.cache()); }
  /// Generated tokens, that which ended them not among them.
  [[nodiscard]] std::span<const int32_t> generated() const { return sequence_.generated(); }
  [[nodiscard]] bool ended() const { return sequence_.ended(); }  ///< by an end token
  /// Tokens of the prompt that its cache held from the beginning.
  [[nodiscard]] int64_t known() const { return sequence_.known(); }
  [[nodiscard]] int64_t passes() const { return passes_; }
  [[nodiscard]] int64_t drafted() const { return drafted_; }
  [[nodiscard]] int64_t accepted() const { return accepted_; }

 private:
  friend class SharedPass;

  /// What a pass made of a session: hidden states of the window [W, D] and of the mature rows that
  /// have logits [drafts + 1, D]; those logits [drafts + 1, V].
  struct PassResult {
    tensor::Tensor window_h, mature_h;
    std::span<const float> logits;
  };
  /// Exact sessions share a policy and need one scout, which does its trials. Evo's text depends on
  /// its policy, which is therefore its own and must not depend on the company.
  void set_scout(bool scout) { scout_ = scout || options_.mode != Mode::kExact; }
  [[nodiscard]] int64_t window_size() const;
  void fill_window();
  PassTrace finish_pass(const PassResult& result);
  void verify_drafts(const PassResult& result, PassTrace& trace);
  void choose_source(const PassResult& result, int64_t accepted);
  void begin_drafts(DraftKind kind, DraftSource& source, int64_t possible);
  void evolve_window(const tensor::Tensor& h, PassTrace& trace);
  bool take_draft(const Proposal& proposal, PassTrace& trace);
  void commit(int32_t token, PassTrace& trace);
  [[nodiscard]] TokenTrace trace_of(const Proposal& proposal, int64_t rank) const;

  const Decoder& decoder_;
  const DecodeOptions options_;
  Proposer proposer_;
  Sequence sequence_;
  std::optional<DraftPolicy> own_policy_;
  DraftPolicy* policy_;  // own or the decoder's; null if the window is of fixed size
  bool scout_ = true;
  bool reading_ = false;  // the pass that goes on reads a piece of the prompt
  DraftChain drafts_;
  DraftSource* source_ = nullptr;  // of drafts_
  WindowSource window_source_;
  AheadSource ahead_source_;
  EvolvingWindow window_;  // behind the drafts, for the coming pass
  Diffusion diffusion_;
  int64_t passes_ = 0, drafted_ = 0, accepted_ = 0;
};

}  // namespace evo::decode
