#include "ops/backend.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "base/error.h"
#include "ops/cpu/cpu.h"
#include "ops/reference/reference.h"

namespace evo::ops {
namespace {

#define EVO_OP(op) .op = cpu::op,
constexpr Backend kCpu = {.name = "cpu", EVO_FOR_EACH_OP(EVO_OP)};
#undef EVO_OP

#define EVO_OP(op) .op = reference::op,
constexpr Backend kReference = {.name = "reference", EVO_FOR_EACH_OP(EVO_OP)};
#undef EVO_OP

constexpr std::array kBackends = {&kCpu, &kReference};

std::atomic<const Backend*> backend_in_use = &kCpu;

}  // namespace

const Backend& backend() {
  return *backend_in_use.load(std::memory_order_relaxed);
}

void use_backend(std::string_view name) {
  const auto* const found =
      std::ranges::find(kBackends, name, [](const Backend* known) { return known->name; });
  if (found == kBackends.end()) {
    fail("there is no backend '{}'; there are {}", name, fmt::join(backend_names(), ", "));
  }
  backend_in_use = *found;
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Backend* known : kBackends) names.emplace_back(known->name);
  return names;
}

tensor::Tensor attention(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
                         std::span<const KeyRange> ranges, const KeyValueView* context) {
  return backend().attention(tape, qkv, layout, ranges, context);
}

void add_bias(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& bias) {
  backend().add_bias(tape, x, bias);
}

void add_to_last_rows(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& delta) {
  backend().add_to_last_rows(tape, x, delta);
}

void write_keys(const tensor::Tensor& qkv, const HeadLayout& layout, int64_t begin, int64_t end,
                const CachedKeys& cached, int64_t token) {
  backend().write_keys(qkv, layout, begin, end, cached, token);
}

tensor::Tensor cached_attention(const tensor::Tape& tape, const tensor::Tensor& qkv,
                                const HeadLayout& layout, std::span<const KeyRange> ranges,
                                std::span<const int32_t> sequences,
                                std::span<const CachedKeys> contexts) {
  return backend().cached_attention(tape, qkv, layout, ranges, sequences, contexts);
}

tensor::Tensor normalize_codes(tensor::Tape& tape, const tensor::Tensor& table) {
  return backend().normalize_codes(tape, table);
}

tensor::Tensor gaussian_bridge(tensor::Tape& tape, const tensor::Tensor& codes,
                               std::span<const int32_t> ids, std::span<const float> signal,
                               const tensor::Tensor& noise) {
  return backend().gaussian_bridge(tape, codes, ids, signal, noise);
}

tensor::Tensor embed(tensor::Tape& tape, const Weight& table, std::span<const int32_t> ids) {
  return backend().embed(tape, table, ids);
}

tensor::Tensor concat_rows(tensor::Tape& tape, const tensor::Tensor& a, const tensor::Tensor& b) {
  return backend().concat_rows(tape, a, b);
}

tensor::Tensor concat_cols(tensor::Tape& tape, std::span<const tensor::Tensor> parts) {
  return backend().concat_cols(tape, parts);
}

tensor::Tensor slice_rows(tensor::Tape& tape, const tensor::Tensor& x, int64_t begin, int64_t end) {
  return backend().slice_rows(tape, x, begin, end);
}

tensor::Tensor gated_scan(tensor::Tape& tape, const tensor::Tensor& a,
                          std::span<const uint8_t> block_starts) {
  return backend().gated_scan(tape, a, block_starts);
}

void gated_step(std::span<const float> a, std::span<float> state) {
  backend().gated_step(a, state);
}

HeadResult head(tensor::Tape& tape, const tensor::Tensor& h, int64_t row_begin, int64_t rows,
                const Unembedding& unembed, const PosteriorTerm* term, const HeadLosses* losses) {
  return backend().head(tape, h, row_begin, rows, unembed, term, losses);
}

tensor::Tensor head_logits(tensor::Tape& tape, const tensor::Tensor& h, int64_t row_begin,
                           int64_t rows, const Unembedding& unembed, const PosteriorTerm* term) {
  return backend().head_logits(tape, h, row_begin, rows, unembed, term);
}

tensor::Tensor linear(tensor::Tape& tape, const tensor::Tensor& x, const Weight& weight) {
  return backend().linear(tape, x, weight);
}

MaturityResult maturity(tensor::Tape& tape, const tensor::Tensor& o,
                        std::span<const float> log_pmax, std::span<const float> entropy,
                        const tensor::Tensor& weight, std::span<const float> targets,
                        std::span<const float> weights) {
  return backend().maturity(tape, o, log_pmax, entropy, weight, targets, weights);
}

tensor::Tensor norm_modulate(tensor::Tape& tape, const tensor::Tensor& x,
                             const tensor::Tensor& weight, const tensor::Tensor& modulation,
                             int64_t scale_column, float eps) {
  return backend().norm_modulate(tape, x, weight, modulation, scale_column, eps);
}

tensor::Tensor layer_norm(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& weight,
                          const tensor::Tensor& bias, const tensor::Tensor& modulation,
                          int64_t scale_column, float eps) {
  return backend().layer_norm(tape, x, weight, bias, modulation, scale_column, eps);
}

tensor::Tensor add_gated(tensor::Tape& tape, const tensor::Tensor& x, const tensor::Tensor& branch,
                         const tensor::Tensor& modulation, int64_t gate_column) {
  return backend().add_gated(tape, x, branch, modulation, gate_column);
}

void adamw(std::span<float> parameters, std::span<const float> gradients,
           std::span<float> first_moment, std::span<float> second_moment, const AdamwStep& step) {
  backend().adamw(parameters, gradients, first_moment, second_moment, step);
}

double sum_of_squares(std::span<const float> values) {
  return backend().sum_of_squares(values);
}

void exponential_average(std::span<float> average, std::span<const float> value, float decay) {
  backend().exponential_average(average, value, decay);
}

void rope(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
          const RopeTable& table, std::span<const int32_t> positions) {
  backend().rope(tape, qkv, layout, table, positions);
}

tensor::Tensor head_norm(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
                         const tensor::Tensor& q_weight, const tensor::Tensor& k_weight,
                         float eps) {
  return backend().head_norm(tape, qkv, layout, q_weight, k_weight, eps);
}

tensor::Tensor activate(tensor::Tape& tape, const tensor::Tensor& x, Activation f) {
  return backend().activate(tape, x, f);
}

tensor::Tensor activate_gated(tensor::Tape& tape, const tensor::Tensor& gate_up, Activation f) {
  return backend().activate_gated(tape, gate_up, f);
}

tensor::Tensor scaled(tensor::Tape& tape, const tensor::Tensor& x, float factor) {
  return backend().scaled(tape, x, factor);
}

std::shared_ptr<const PackedWeight> pack_groups(std::span<const GroupedRows> parts, int64_t in) {
  return backend().pack_groups(parts, in);
}

std::shared_ptr<const PackedWeight> pack_weight(const float* weight, int64_t out, int64_t in,
                                                tensor::Precision precision) {
  return backend().pack_weight(weight, out, in, precision);
}

std::shared_ptr<const PackedWeight> pack_bf16_weight(const uint16_t* weight, int64_t out,
                                                     int64_t in, tensor::Precision precision) {
  return backend().pack_bf16_weight(weight, out, in, precision);
}

}  // namespace evo::ops
