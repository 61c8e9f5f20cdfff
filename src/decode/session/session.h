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
//            each given the one before it, as long as that pays (policy.h). After a rejection it
//            drafts anew, from the corrected token, on the hidden states that were computed before
//            the rejected draft was seen. Without a window, or where it has nothing left, a second
//            field drafts ahead of the last mature token, from its hidden state and the cache;
//   evolve   in diffusion mode nothing is verified: the window's tokens of which the model is most
//            sure ripen, wherever they stand: the exact bridge takes z to the code of the
//            hypothesis at the lowest t. The others stay undecided, and see the ripe ones in the
//            next pass. When all tokens are ripe, the window is committed and the next one begins.
//
// Modes are settings: `ar` has no window; `exact` verifies with lenience 1; `evo` with lenience
// (1 - balance)^2; `diffusion` does not verify. Several sessions, of any modes, can share passes.
#pragma once

#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "decode/policy/pass_times.h"
#include "decode/policy/policy.h"
#include "decode/sampler.h"
#include "decode/shaper.h"
#include "model/model.h"
#include "ops/head.h"
#include "tokenizer/tokenizer.h"

namespace evo {

enum class Mode { kAr, kExact, kEvo, kDiffusion };
[[nodiscard]] Mode parse_mode(const std::string& name);  ///< throws UsageError
[[nodiscard]] const char* mode_name(Mode mode);

struct DecodeOptions {
  Mode mode = Mode::kExact;
  double balance = 0.5;  ///< evo mode only, in [0, 1): 0 is exact, towards 1 diffusion
  SamplerOptions sampler;
  ShapeOptions shape;
  int64_t max_tokens = 256;
  uint64_t seed = 1;
  int64_t window = 0;  ///< evolving tokens per pass; 0: the policy's choice, in diffusion mode 8
  double draft_threshold = 0.3;  ///< with a window of fixed size: draft while the probability that
                                 ///< all are kept is above this
  int64_t steps = 1;             ///< diffusion: passes in which a window ripens, at most
  double commit_maturity = 0.9;  ///< diffusion: maturity at which a token ripens ahead of its turn
  bool trace = false;            ///< fill PassTrace::tokens completely
  /// Fill PassTrace::logprobs, with so many alternatives each; negative: do not. Not in diffusion
  /// mode, which asks the autoregressive model nothing.
  int64_t logprobs = -1;

  /// Of verification, see verify().
  [[nodiscard]] double lenience() const {
    const double strict = 1 - balance;
    return mode == Mode::kEvo ? strict * strict : 1;
  }
};

/// When a session reads its prompt: while it is made, or piece by piece in the passes that it
/// shares with others, which a long prompt then does not keep waiting.
enum class PromptReading { kAtOnce, kInPasses };

/// What a text is generated after, in the order in which the network sees it.
struct Prompt {
  std::vector<int32_t> tokens, positions;
  /// Positions for generated tokens, behind that of the last token.
  int64_t room = std::numeric_limits<int32_t>::max();

  /// The places from 0 on; what is generated continues the text.
  static Prompt of_text(std::vector<int32_t> tokens);
  /// What is generated lies between `prefix`, not empty, and `suffix`, which begins `room`
  /// positions further on: at the longest, the middle has that many tokens.
  static Prompt of_gap(std::vector<int32_t> prefix, std::span<const int32_t> suffix, int64_t room);
};

/// A model as sessions share it.
class Decoder {
 public:
  /// `model` must outlive the decoder, packed. With `measure` false nothing depends on the clock:
  /// not only texts, but passes and drafts are the same everywhere.
  explicit Decoder(const Model& model, bool measure = true);
  /// The same for texts of this tokenizer. A model may have room for more ids than its tokenizer
  /// has tokens (rounded up for speed, say): those are never chosen, nor named as alternatives.
  Decoder(const Model& model, const Tokenizer& tokenizer, bool measure = true);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  [[nodiscard]] const Model& model() const { return model_; }
  /// All logits that tokens are chosen by, or named by, are made here: those of head_logits(), less
  /// the ids that the tokenizer does not have. [rows of x, V], or a column for each of `tokens`, in
  /// rising order, if `unembed` has rows for these only.
  [[nodiscard]] Tensor logits(Tape& tape, const Tensor& x, const Weight& unembed,
                              const PosteriorTerm* term,
                              std::span<const int32_t> tokens = {}) const;
  [[nodiscard]] const Tensor& codes() const { return codes_; }  ///< [V, d]; without flow undefined
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
  const Model& model_;
  bool measure_;
  std::vector<int32_t> absent_;  // ids without a token, in rising order
  Tensor codes_;
  PassCost nominal_ = PassCost::nominal();
  mutable PassTimes times_;
  mutable DraftPolicy exact_policy_;
  mutable int64_t plain_passes_ = 0;
};

/// What a pass knew about a token that is not committed yet.
struct TokenTrace {
  int64_t position = 0;
  int32_t token = 0;  ///< draft or hypothesis
  float time = 1, entropy = 0, maturity = 0;
  std::vector<int32_t> top;   ///< likeliest tokens first, with `trace`
  std::vector<float> latent;  ///< z [d], with `trace`
};

/// A committed token under the distribution that the model has (that of temperature 1).
struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
  std::vector<std::pair<int32_t, float>> top;  ///< the likeliest tokens first
};

struct PassTrace {
  int64_t pass = 0;
  bool reading = false;  ///< it read a piece of the prompt, `rows` tokens, and generated nothing
  std::vector<int32_t> committed;  ///< by this pass, in order
  int64_t drafted = 0, accepted = 0;
  int64_t rows = 0;  ///< of this session in the pass: new tokens, drafts and window
  std::vector<TokenTrace> tokens;
  std::vector<TokenLogprob> logprobs;  ///< of `committed`, with DecodeOptions::logprobs
};

class Session {
 public:
  /// Reads the prompt. It must not be empty and must leave room for one token in the context; else
  /// Error. `end` is the token that ends a text. `decoder` must outlive the session. `cache` holds
  /// a beginning of the prompt, the last token excluded; without it the session has its own memory.
  Session(const Decoder& decoder, const DecodeOptions& options, Prompt prompt, int32_t end,
          PromptReading reading = PromptReading::kAtOnce, std::optional<KvCache> cache = {});
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

  [[nodiscard]] bool done() const;
  /// Tokens of the prompt that passes must read before the first one that generates.
  [[nodiscard]] int64_t unread() const;
  /// Prompt and generated tokens, in the order in which the network sees them.
  [[nodiscard]] std::span<const int32_t> text() const { return text_; }
  /// Where the tokens of the prompt stand.
  [[nodiscard]] std::span<const int32_t> prompt_positions() const { return positions_; }
  /// Keys and values of the beginning of text(), for sessions to come. This one cannot go on.
  [[nodiscard]] KvCache release_cache() { return std::move(cache_); }
  /// Generated tokens, the end token not among them.
  [[nodiscard]] std::span<const int32_t> generated() const;
  [[nodiscard]] bool ended() const { return ended_; }  ///< by the end token
  /// Tokens of the prompt that its cache held from the beginning.
  [[nodiscard]] int64_t known() const { return known_; }
  [[nodiscard]] int64_t passes() const { return passes_; }
  [[nodiscard]] int64_t drafted() const { return drafted_; }
  [[nodiscard]] int64_t accepted() const { return accepted_; }

 private:
  /// An evolving token and what the last pass made of it.
  struct Proposal {
    int32_t token = 0;
    float maturity = 0, entropy = 0;
    std::vector<int32_t> top;
  };
  struct WindowToken {
    std::vector<float> z, previous_x;  // [d]
    float time = 1;
    bool ripe = false;               // diffusion mode: its hypothesis is final
    Proposal proposal;               // diffusion mode: the hypothesis
    Tensor h;                        // [1, D] of the last pass
    std::vector<float> inner_state;  // [R] of the inner field after this token
  };

  /// What went wrong in a pass with single sessions.
  class Faults {
   public:
    explicit Faults(size_t sessions) : reasons_(sessions) {}
    /// Does a session's own part of a pass.
    template <class Action>
    void attempt(size_t session, const Action& action) {
      try {
        action();
      } catch (const std::exception&) {
        reasons_[session] = std::current_exception();
      }
    }
    [[nodiscard]] bool has(size_t session) const { return reasons_[session] != nullptr; }
    /// To `told`, if there is one; else the first is thrown.
    void tell(std::vector<std::string>* told) const;

   private:
    std::vector<std::exception_ptr> reasons_;
  };

  static size_t at(int64_t index) { return static_cast<size_t>(index); }
  [[nodiscard]] int64_t room() const;  ///< tokens that may still be generated
  [[nodiscard]] int64_t window_size() const;
  void fill_window();
  [[nodiscard]] int64_t first_age() const;
  [[nodiscard]] WindowToken fresh_token(int64_t index);
  [[nodiscard]] int32_t place(int64_t rank) const;
  /// Adds the session's rows to a pass, evolving ones excepted; returns how many of them need
  /// logits. `generating` sessions share the pass; of those that read, `prompt_rows` is left.
  int64_t prepare_pass(ForwardInput& input, int32_t sequence, int64_t generating,
                       int64_t& prompt_rows);
  void append_prompt(ForwardInput& input, int32_t sequence, int64_t rows) const;
  void append_mature(ForwardInput& input, int32_t sequence) const;
  void append_evolving(ForwardInput& input, int32_t sequence) const;
  static void observe_pass(std::span<Session* const> sessions, std::span<const PassTrace> traces,
                           PassRun run);
  static void add_windows(std::span<Session* const> sessions, ForwardInput& input);
  /// What the pass made of a session: hidden states of the window [W, D] and of the mature rows
  /// that have logits [drafts + 1, D]; those logits [drafts + 1, V].
  struct PassResult {
    Tensor window_h, mature_h;
    std::span<const float> logits;
  };
  PassTrace finish_pass(const PassResult& result);
  void verify_drafts(const PassResult& result, PassTrace& trace);
  std::vector<float> keep_true_states(const PassResult& result, const Verdict& verdict,
                                      int32_t last);
  void add_logprobs(std::span<const float> logits, PassTrace& trace) const;
  void draft_from_window(int32_t previous, std::vector<float> state, PassTrace& trace);
  struct Ahead;
  /// Returns what it took, as steps of CostRatios::ahead_steps().
  static double draft_ahead(std::span<Session* const> sessions, std::span<PassTrace> traces,
                            Faults& faults);
  static std::vector<Proposal> propose_ahead(std::span<Ahead> active, Faults& faults);
  /// A chain of drafts that grows: the token before the next one, the probability that all are
  /// kept.
  struct Drafting {
    int32_t previous = 0;
    double all_kept = 1;
    Shaper shaper;
  };
  Drafting begin_drafts(DraftSource source, int64_t possible, int32_t previous);
  [[nodiscard]] bool wants_draft(const Drafting& drafting) const;
  /// False if the proposal does not pay: then it is no draft, and there are no more.
  bool take_draft(const Proposal& proposal, const WindowToken& token, Drafting& drafting,
                  PassTrace& trace);
  [[nodiscard]] int64_t draft_rank() const { return std::ssize(text_) + std::ssize(drafts_); }
  [[nodiscard]] int64_t coming_rows() const;  ///< of the next pass, as it stands
  void evolve_window(const Tensor& h, PassTrace& trace);
  Tensor evolve_codes(const Tensor& h);
  void propose_window(const Tensor& h, const Tensor& marginals);
  void ripen_surest();
  void commit_ripe_window(PassTrace& trace);
  /// From o [1, D], the inner field's output for this token.
  [[nodiscard]] Proposal propose(const WindowToken& token, const Tensor& o, int64_t rank,
                                 const Shaper& shaper) const;
  struct Proposer {
    const Sampler& sampler;
    const Tensor& maturity_weight;
    std::span<const int32_t> tokens = {};  ///< of which it has logits, if not of all
  };
  /// Of a field's output o [1, D] and its logits.
  [[nodiscard]] Proposal proposal_of(const Tensor& o, const Tensor& logits, Proposer proposer,
                                     int64_t rank, const Shaper& shaper) const;
  void move_token(WindowToken& token, int32_t hypothesis, double to);
  void commit(int32_t token, PassTrace& trace);
  [[nodiscard]] TokenTrace trace_of(const WindowToken& token, const Proposal& proposal,
                                    int64_t rank) const;

  const Decoder& decoder_;
  const Model& model_;
  DecodeOptions options_;
  int32_t end_;
  Sampler sampler_;
  Sampler ahead_sampler_;  // of the field ahead, surer than the model whose choice it learns
  Shaper shaper_;          // of the token after the committed ones
  std::optional<DraftPolicy> own_policy_;
  DraftPolicy* policy_ = nullptr;   // own or the decoder's; null if the window is of fixed size
  bool scout_ = true;               // the one of a pass that does the policy's trials
  KvCache cache_;                   // of the first cache_.length() committed tokens
  int64_t known_;                   // of them, at the beginning
  std::vector<int32_t> text_;       // in rank order
  std::vector<int32_t> positions_;  // of the prompt
  size_t prompt_size_;
  bool reading_ = false;  // the pass that goes on reads a piece of the prompt
  int64_t end_of_room_;   // rank at which no token fits any more
  std::vector<int32_t> drafts_;
  std::vector<float> draft_maturities_;
  int64_t possible_drafts_ = 0;
  int64_t proposals_ = 0;  // tokens that the last pass thought of drafting
  std::optional<std::pair<int32_t, float>> refused_;  // the last of them, if it was no draft
  double window_seconds_ = 0;                         // that drafting from the window took
  DraftSource draft_source_ = DraftSource::kNone;
  Tensor ahead_h_;  // [1, D] of the last mature row, if drafts are to be made from it
  std::vector<WindowToken> pool_;    // from the position after the text on: what drafts are made of
  std::vector<WindowToken> window_;  // behind the drafts, for the coming pass
  int64_t window_age_ = 0;           // diffusion mode: passes that the window has seen
  std::vector<int32_t> sketch_;
  double sketch_time_ = 1;
  Random random_;
  bool ended_ = false;
  int64_t passes_ = 0, drafted_ = 0, accepted_ = 0;
};

}  // namespace evo
