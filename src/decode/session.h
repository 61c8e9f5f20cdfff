// One sequence being generated: the one loop behind all modes.
//
// State: the committed text with its exact KV cache; drafts, which are not verified yet; and a
// window of evolving tokens behind them. One forward pass takes
//
//     [ tokens committed since the last pass | drafts ; window ]
//
// as mature and evolving rows and gives the autoregressive distribution after every mature row and
// a hidden state for every window row. Then:
//
//   verify   the longest prefix of the drafts that survives is committed, and one further token
//            from the autoregressive distribution (sampler.h);
//   draft    the inner field reads the window's hidden states left to right and proposes tokens,
//            each given the one before it, as long as maturity says they will probably be kept.
//            After a rejection it drafts anew, from the corrected token, on the hidden states
//            that were computed before the rejected draft was seen;
//   evolve   in diffusion mode nothing is verified: every window token moves from t to a lower t by
//            the exact bridge from z to the code of its hypothesis, and the left edge is
//            committed when it is mature or its steps are used up. Fresh tokens enter on the
//            right at t = 1.
//
// Modes are settings: `ar` has no window; `exact` verifies with lenience 1; `evo` with lenience
// 1 - balance; `diffusion` does not verify.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "decode/sampler.h"
#include "model/model.h"

namespace evo {

enum class Mode { kAr, kExact, kEvo, kDiffusion };
[[nodiscard]] Mode parse_mode(const std::string& name);  ///< throws UsageError
[[nodiscard]] const char* mode_name(Mode mode);

struct DecodeOptions {
  Mode mode = Mode::kExact;
  double balance = 0.5;  ///< evo mode only, in [0, 1): 0 is exact, towards 1 diffusion
  SamplerOptions sampler;
  int64_t max_tokens = 256;
  uint64_t seed = 1;
  int64_t window = 8;            ///< evolving tokens per pass
  double draft_threshold = 0.3;  ///< draft while the probability that all are kept is above this
  int64_t steps = 8;             ///< diffusion: passes from t = 1 to a committed token, at most
  double commit_maturity = 0.9;  ///< diffusion: maturity at which the left edge is committed early
  bool trace = false;            ///< fill PassTrace::tokens completely
};

/// What a pass knew about a token that is not committed yet.
struct TokenTrace {
  int64_t position = 0;
  int32_t token = 0;  ///< draft or hypothesis
  float time = 1, entropy = 0, maturity = 0;
  std::vector<int32_t> top;   ///< likeliest tokens first, with `trace`
  std::vector<float> latent;  ///< z [d], with `trace`
};

struct PassTrace {
  int64_t pass = 0;
  std::vector<int32_t> committed;  ///< by this pass, in order
  int64_t drafted = 0, accepted = 0;
  std::vector<TokenTrace> tokens;
};

class Session {
 public:
  /// `prompt` must not be empty and must leave room for one token in the context; else Error. `end`
  /// is the token that ends a text.
  Session(const Model& model, const DecodeOptions& options, std::span<const int32_t> prompt,
          int32_t end);

  /// One forward pass. Not after done().
  PassTrace step();

  [[nodiscard]] bool done() const;
  /// Generated tokens, the end token not among them.
  [[nodiscard]] std::span<const int32_t> generated() const;
  [[nodiscard]] bool ended() const { return ended_; }  ///< by the end token
  [[nodiscard]] int64_t passes() const { return passes_; }
  [[nodiscard]] int64_t drafted() const { return drafted_; }
  [[nodiscard]] int64_t accepted() const { return accepted_; }

 private:
  /// An evolving token and what the last pass made of it.
  struct WindowToken {
    std::vector<float> z, previous_x;  // [d]
    float time = 1;
    int64_t age = 0;                 // passes since it entered
    Tensor h;                        // [1, D] of the last pass
    std::vector<float> inner_state;  // [R] of the inner field after this token
  };
  struct Proposal {
    Draft draft;
    float maturity = 0, entropy = 0;
    std::vector<int32_t> top;
  };

  void prefill();
  [[nodiscard]] int64_t room() const;        ///< tokens that may still be generated
  [[nodiscard]] int64_t new_tokens() const;  ///< committed, but not in the cache yet
  void fill_window();
  [[nodiscard]] ForwardInput pass_input() const;
  void verify_drafts(const Tensor& h, PassTrace& trace);
  void draft_tokens(int32_t previous, std::vector<float> state, PassTrace& trace);
  void evolve_window(const Tensor& h, PassTrace& trace);
  Proposal propose(const WindowToken& token, int32_t previous, std::vector<float>& state);
  void move_token(WindowToken& token, int32_t hypothesis, double to);
  void commit(int32_t token, PassTrace& trace);
  [[nodiscard]] TokenTrace trace_of(const WindowToken& token, const Proposal& proposal,
                                    int64_t position) const;

  const Model& model_;
  DecodeOptions options_;
  int32_t end_;
  Tensor codes_;
  KvCache cache_;  // of the first cache_.length() committed tokens
  std::vector<int32_t> text_;
  size_t prompt_size_;
  std::vector<Draft> drafts_;
  std::vector<WindowToken> pool_;    // from the position after the text on: what drafts are made of
  std::vector<WindowToken> window_;  // behind the drafts, for the coming pass
  Random random_;
  bool ended_ = false;
  int64_t passes_ = 0, drafted_ = 0, accepted_ = 0;
};

}  // namespace evo
