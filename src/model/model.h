// The Evo network: one time-conditioned Transformer over mature and evolving tokens.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flow/entropic_time.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/layout.h"
#include "model/parameters.h"
#include "ops/attention.h"
#include "ops/head.h"
#include "ops/linear.h"
#include "ops/rope.h"
#include "tensor/tape.h"

namespace evo::model {

class FamilyWeights;

/// The rows of one pass: Nm mature tokens, then Ne evolving ones.
struct ForwardInput {
  std::vector<int32_t> ids;   ///< [Nm] mature tokens
  tensor::Tensor z;           ///< [Ne, d] latent codes (may want a gradient); undefined if Ne = 0
  tensor::Tensor previous_x;  ///< [Ne, d] self-conditioning: the previous mean code, or zeros
  std::vector<float> times;   ///< [Ne] in (0, 1]
  std::vector<int32_t> positions;     ///< [N] for RoPE
  std::vector<ops::KeyRange> ranges;  ///< [N] what each row sees; context rows index the cache if
                                      ///< there is one, else the rows of this pass
  std::vector<int32_t> sequences;     ///< [N] index into the caches; empty: all rows use the first

  [[nodiscard]] int64_t mature() const { return static_cast<int64_t>(ids.size()); }
  [[nodiscard]] int64_t evolving() const { return static_cast<int64_t>(times.size()); }
};

/// Rows of blocks as the field ahead sees them. A block's first row is known from the last mature
/// row's own logits, so the field begins at its second one.
struct AheadInput {
  tensor::Tensor h;     ///< [N, D] of the last mature row before each row's block (detached)
  tensor::Tensor keys;  ///< [Nm, (H + 2G) e] what forward() said of the mature rows
  std::vector<int32_t> previous;       ///< [N] the token before each row
  std::vector<int32_t> positions;      ///< [N] of those tokens
  std::vector<ops::KeyRange> context;  ///< [N] mature rows that it sees: those up to that of its h
  std::vector<uint8_t> starts;         ///< [N] marks of the rows that begin a block
};

class Model {
 public:
  /// `gradients`: allocate them (training).
  Model(const ModelConfig& config, bool gradients);

  /// Fresh weights: normal with standard deviation 0.02, residual outputs scaled by 1/sqrt(2
  /// layers), norms 1, modulation and the inner field's output 0. A pure function of the seed.
  void initialize(uint64_t seed);

  /// A model folder (config.json, model.safetensors) or a GGUF file. Throws Error for anything
  /// missing or wrong.
  static Model load(const std::string& folder);
  /// The same for inference: packed weight by weight, so that it never takes much more memory than
  /// the packed weights do. Such a model cannot be saved, trained or packed again.
  static Model load_packed(const std::string& folder, tensor::Precision precision);
  /// `weights` is "F32", or "BF16" for files of half the size: matrices rounded, the rest exact.
  void save(const std::string& folder, std::string_view weights = "F32") const;

  /// Reorders the weights for decoding; call once, before inference, when they no longer change.
  void pack(tensor::Precision precision);
  /// How decoders of this model keep keys and values: their caches are to be made so. f32 at first.
  void set_cache_format(ops::CacheFormat format) { cache_format_ = format; }
  [[nodiscard]] ops::CacheFormat cache_format() const { return cache_format_; }
  /// What its weights were packed in last; kStored only if its file has any in groups.
  [[nodiscard]] tensor::Precision precision() const { return precision_; }
  /// Bytes of packed weights that a pass over mature tokens reads.
  [[nodiscard]] size_t pass_bytes() const;

  /// Hidden states [N, D] after the final norm. With caches, keys and values of the mature rows are
  /// appended to those of their sequences; rows of one sequence are consecutive among the mature
  /// rows. Throws Error if the caches' pool has no room, before anything is appended. `ahead_keys`,
  /// if given, gets what the field ahead sees of the mature rows (without gradient).
  tensor::Tensor forward(tensor::Tape& tape, const ForwardInput& input,
                         std::span<KvCache* const> caches = {},
                         tensor::Tensor* ahead_keys = nullptr) const;
  tensor::Tensor forward(tensor::Tape& tape, const ForwardInput& input, KvCache* cache) const {
    return forward(tape, input, std::span(&cache, 1));
  }

  /// The inner field over evolving rows: o [Ne, D] from their hidden states h [Ne, D] (detached),
  /// the token before each row and marks of the rows that begin a block.
  tensor::Tensor inner_field(tensor::Tape& tape, const tensor::Tensor& h,
                             std::span<const int32_t> previous,
                             std::span<const uint8_t> block_starts) const;
  /// One row of it, for drafting token by token; `state` [R] is 0 before a block's first row.
  tensor::Tensor inner_step(const tensor::Tensor& h_row, int32_t previous,
                            std::span<float> state) const;

  /// The field that drafts without a window, ahead of a mature row: o [N, D] of the rows of blocks.
  /// Needs ahead_size > 0.
  tensor::Tensor ahead_field(tensor::Tape& tape, const AheadInput& input) const;
  /// One row of it for each of N texts: h [N, D] is that of the last token in a text's cache;
  /// `previous`, which stands at `position`, and all between them were drafted; `states`
  /// [N, ahead_states()], 0 at first, are brought up to date.
  tensor::Tensor ahead_step(const tensor::Tensor& h, std::span<const int32_t> previous,
                            std::span<const int32_t> positions,
                            std::span<const KvCache* const> caches,
                            const tensor::Tensor& states) const;

  /// Normalised codes [V, d].
  tensor::Tensor codes(tensor::Tape& tape) const;

  /// From now on only parameters of these names have gradients.
  void train_only(bool (*trained)(std::string_view name));

  /// Calls `gate` before parameters are read, with their Parameter::first_use: forward() then can
  /// begin while later layers' weights are still on their way.
  void set_gate(std::function<void(int64_t use)> gate) { gate_ = std::move(gate); }

  [[nodiscard]] const ModelConfig& config() const { return config_; }
  [[nodiscard]] ParameterStore& parameters() { return parameters_; }
  [[nodiscard]] const ParameterStore& parameters() const { return parameters_; }
  [[nodiscard]] const ops::Unembedding& unembedding() const { return network_.unembedding; }
  [[nodiscard]] ops::Unembedding detached_unembedding() const;
  /// The rows of the unembedding for tokens that the field ahead may draft, `ahead_tokens`. Once
  /// packed these are the likeliest ones, which make up nearly all text (as in FR-Spec, Zhao et al.
  /// 2025), and they and the field are int8 whatever the rest is: drafts are verified, so what they
  /// cost matters more than their last digits. Before, no tokens are named: all may be drafted.
  [[nodiscard]] const ops::Unembedding& ahead_unembedding() const {
    return ahead_tokens_.empty() ? network_.unembedding : ahead_unembedding_;
  }
  [[nodiscard]] std::span<const int32_t> ahead_tokens() const { return ahead_tokens_; }
  [[nodiscard]] const tensor::Tensor& embedding() const { return network_.embedding.value; }
  [[nodiscard]] const tensor::Tensor& maturity_weight() const { return network_.maturity; }
  [[nodiscard]] const tensor::Tensor& ahead_maturity_weight() const {
    return network_.ahead_maturity;
  }
  [[nodiscard]] ops::HeadLayout heads() const;

  [[nodiscard]] const flow::EntropicTime& time() const { return *time_; }
  /// Knots are rounded to f32, so that a saved model has the very same table.
  void set_time(const flow::EntropicTime& time);
  [[nodiscard]] std::span<const float> unigram() const { return unigram_; }
  void set_unigram(std::vector<float> probabilities) { unigram_ = std::move(probabilities); }

 private:
  /// [h | E[previous]] [N, 2D], of which fields make drafts; E is detached.
  [[nodiscard]] tensor::Tensor draft_inputs(tensor::Tape& tape, const tensor::Tensor& h,
                                            std::span<const int32_t> previous) const;
  /// o [N, D] of the field ahead from its inputs and the states of its recurrence; `attend` tells
  /// what rows of q | 0 | 0 see.
  template <class Attend>
  tensor::Tensor ahead_output(tensor::Tape& tape, const tensor::Tensor& inputs,
                              const tensor::Tensor& states, std::span<const int32_t> positions,
                              const Attend& attend) const;
  /// The layer whose keys and values the field ahead sees.
  [[nodiscard]] int64_t ahead_layer() const { return config_.num_hidden_layers * 3 / 4; }
  void bind();
  /// What is packed for inference, with the parameters that each weight is made of.
  struct PackedUnit {
    std::span<const Parameter> parts;
    ops::Weight* weight;  ///< null: one parameter that is not packed
  };
  std::vector<PackedUnit> units();
  void pack(ops::Weight& weight, tensor::Precision precision);
  void pack(ops::Weight& weight, const tensor::Tensor& bits,
            tensor::Precision precision);  ///< from bf16 [out, in]
  void pack_ahead_unembedding();
  /// The field ahead has rows of it, packed apart.
  [[nodiscard]] bool unembeds_ahead(const ops::Weight& weight) const;
  /// Belongs to the field ahead alone.
  [[nodiscard]] bool is_ahead(const ops::Weight& weight) const;
  /// What a weight is packed in where products are computed in `precision`.
  [[nodiscard]] tensor::Precision packed_precision(const ops::Weight& weight,
                                                   tensor::Precision precision) const;
  void set_packed(ops::Weight& weight, std::shared_ptr<const ops::PackedWeight> packed);
  static Model read(const std::string& folder,
                    const std::function<void(Model&, const FamilyWeights&)>& read_parameters);
  /// Packs a weight as the file has it in groups; false if it has not.
  bool pack_stored(const FamilyWeights& file, const PackedUnit& unit);
  void read_packed(const FamilyWeights& file, const PackedUnit& unit, tensor::Precision precision);
  void pack_bits(const FamilyWeights& file, std::span<const Parameter> parts, ops::Weight& weight,
                 tensor::Precision precision);
  tensor::Tensor hidden_states(tensor::Tape& tape, const ForwardInput& input, KvPass* pass,
                               tensor::Tensor* ahead_keys) const;
  void pass_gate(int64_t use) const;
  tensor::Tensor input_rows(tensor::Tape& tape, const ForwardInput& input,
                            const tensor::Tensor& phi) const;
  /// The same without learned positions.
  tensor::Tensor token_rows(tensor::Tape& tape, const ForwardInput& input,
                            const tensor::Tensor& phi) const;
  /// Output of layer `index` from its input x [N, D]. `keys`, if given, gets q | k | v of the
  /// mature rows.
  tensor::Tensor layer_rows(tensor::Tape& tape, const Layer& layer, int64_t index,
                            const tensor::Tensor& x, const tensor::Tensor& phi,
                            const ForwardInput& input, KvPass* pass, tensor::Tensor* keys) const;
  tensor::Tensor attention_branch(tensor::Tape& tape, const Layer& layer, int64_t index,
                                  const tensor::Tensor& x, const tensor::Tensor& modulation,
                                  const ForwardInput& input, KvPass* pass,
                                  tensor::Tensor* keys) const;
  tensor::Tensor normed_linear(tensor::Tape& tape, const tensor::Tensor& x, const Norm& norm,
                               const tensor::Tensor& modulation, int64_t slot,
                               const ops::Weight& weight, const Adapter& adapter) const;
  /// What a branch reads of x: normed, if there is a norm, and scaled by modulation's `slot`.
  tensor::Tensor branch_input(tensor::Tape& tape, const tensor::Tensor& x, const Norm& norm,
                              const tensor::Tensor& modulation, int64_t slot) const;
  /// What a branch adds to x.
  tensor::Tensor branch_output(tensor::Tape& tape, const tensor::Tensor& out,
                               const Norm& norm) const;
  tensor::Tensor normed(tensor::Tape& tape, const tensor::Tensor& x, const Norm& norm,
                        const tensor::Tensor& modulation, int64_t column) const;
  static tensor::Tensor scaled_by(tensor::Tape& tape, const tensor::Tensor& x, double factor);
  /// Queries and keys of a layer, in place.
  void rotate(tensor::Tape& tape, const tensor::Tensor& qkv, int64_t layer,
              std::span<const int32_t> positions) const;
  /// Output [N, D] of a sparse layer's experts for n [N, D].
  tensor::Tensor mixture(tensor::Tape& tape, const Layer& layer, const tensor::Tensor& n) const;
  /// linear(), and the adapter for the rows that `modulation` is of.
  tensor::Tensor adapted_linear(tensor::Tape& tape, const tensor::Tensor& x,
                                const ops::Weight& weight, const Adapter& adapter,
                                const tensor::Tensor& modulation) const;
  tensor::Tensor feed_forward_branch(tensor::Tape& tape, const Layer& layer,
                                     const tensor::Tensor& x,
                                     const tensor::Tensor& modulation) const;
  /// Of what goes in, n; `when_read` is called behind the last operation that reads it.
  tensor::Tensor feed_forward_by_parts(tensor::Tape& tape, const Layer& layer,
                                       const tensor::Tensor& n, const tensor::Tensor& modulation,
                                       const std::function<void()>& when_read) const;

  ModelConfig config_;
  ParameterStore parameters_;
  Network network_;
  ops::Unembedding ahead_unembedding_;
  std::unique_ptr<ops::RopeTable> rope_, local_rope_;  // the latter null if no layer has it
  ops::CacheFormat cache_format_ = ops::CacheFormat::kF32;
  std::optional<flow::EntropicTime> time_;
  std::vector<float> unigram_;
  std::vector<int32_t> ahead_tokens_;
  tensor::Precision precision_ = tensor::Precision::kF32;
  bool (*trained_)(std::string_view) = nullptr;  // by name; null: all
  std::function<void(int64_t use)> gate_;
};

/// phi(t) [Ne, K]: 1, t, sin(pi k t / 2) and cos(pi k t / 2) for k = 1 .. (K - 2) / 2.
tensor::Tensor time_features(std::span<const float> times, int64_t features);

}  // namespace evo::model
