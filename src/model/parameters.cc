#include "model/parameters.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

#include "base/checked.h"

namespace evo {

int64_t Parameter::numel() const {
  int64_t total = 1;
  for (int64_t extent : shape) total = checked_mul(total, extent, name);
  return total;
}

void ParameterStore::declare(std::string name, std::vector<int64_t> shape, int64_t first_use) {
  EVO_CHECK(index_.emplace(name, parameters_.size()).second);
  parameters_.push_back({std::move(name), std::move(shape), size_, first_use});
  size_ = checked_add(size_, parameters_.back().numel(), "number of parameters");
}

void ParameterStore::allocate(bool gradients) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t array = (static_cast<size_t>(size_) * sizeof(float) + page - 1) / page * page;
  const size_t bytes = gradients ? 2 * array : array;
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    fail("out of memory: use a smaller model; the weights of this one take {:.2f} GB",
         1e-9 * static_cast<double>(bytes));
  }
  memory_ = std::shared_ptr<void>(memory, [bytes](void* at) { munmap(at, bytes); });
  values_ = Tensor::view(static_cast<float*>(memory), {size_});
  if (gradients) {
    // Of a frozen part nobody writes the gradients, and so they take no memory.
    void* const behind = static_cast<std::byte*>(memory) + array;
    gradients_ = Tensor::view(static_cast<float*>(behind), {size_});
  }
}

void ParameterStore::release(const Tensor& tensor) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(tensor.f32());
  const uintptr_t begin = (first + page - 1) / page * page;
  const uintptr_t end =
      (first + static_cast<uintptr_t>(tensor.numel()) * sizeof(float)) / page * page;
  if (begin >= end) return;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  mprotect(reinterpret_cast<void*>(begin), end - begin, PROT_NONE);
}

const Parameter& ParameterStore::find(const std::string& name) const {
  const auto found = index_.find(name);
  EVO_CHECK(found != index_.end());
  return parameters_[found->second];
}

Tensor ParameterStore::tensor(const std::string& name) const {
  const Parameter& p = find(name);
  return view(p.offset, p.shape);
}

Tensor ParameterStore::fused(const std::string& first, const std::string& last) const {
  const Parameter& begin = find(first);
  const Parameter& end = find(last);
  const bool vectors = begin.shape.size() == 1 && end.shape.size() == 1;
  const int64_t floats = end.offset + end.numel() - begin.offset;
  if (vectors) return view(begin.offset, {floats});
  EVO_CHECK(begin.shape.size() == 2 && end.shape.size() == 2 && begin.shape[1] == end.shape[1]);
  return view(begin.offset, {floats / begin.shape[1], begin.shape[1]});
}

std::span<float> ParameterStore::values_of(const Parameter& p) const {
  return values().subspan(static_cast<size_t>(p.offset), static_cast<size_t>(p.numel()));
}

void ParameterStore::zero_gradients() const {
  set_zero(gradients());
}

Tensor ParameterStore::view(int64_t offset, std::vector<int64_t> shape) const {
  float* grad = gradients_.defined() ? gradients_.f32() + offset : nullptr;
  return Tensor::view(values_.f32() + offset, std::move(shape), grad);
}

namespace {

void declare_layer(const ModelConfig& c, int64_t layer, ParameterStore& parameters) {
  const int64_t q_cols = c.num_attention_heads * c.head_dim;
  const int64_t kv_cols = c.num_key_value_heads * c.head_dim;
  const auto declare = [&](const char* part, std::vector<int64_t> shape) {
    parameters.declare(fmt::format("model.layers.{}.{}", layer, part), std::move(shape), layer + 1);
  };
  declare("input_layernorm.weight", {c.hidden_size});
  declare("self_attn.q_proj.weight", {q_cols, c.hidden_size});
  declare("self_attn.k_proj.weight", {kv_cols, c.hidden_size});
  declare("self_attn.v_proj.weight", {kv_cols, c.hidden_size});
  if (c.qkv_bias) {
    declare("self_attn.q_proj.bias", {q_cols});
    declare("self_attn.k_proj.bias", {kv_cols});
    declare("self_attn.v_proj.bias", {kv_cols});
  }
  declare("self_attn.o_proj.weight", {c.hidden_size, q_cols});
  if (c.qk_norm) declare("self_attn.q_norm.weight", {c.head_dim});
  if (c.qk_norm) declare("self_attn.k_norm.weight", {c.head_dim});
  declare("post_attention_layernorm.weight", {c.hidden_size});
  declare("mlp.gate_proj.weight", {c.intermediate_size, c.hidden_size});
  declare("mlp.up_proj.weight", {c.intermediate_size, c.hidden_size});
  declare("mlp.down_proj.weight", {c.hidden_size, c.intermediate_size});
}

/// A matrix [out, in] of the backbone gets up [out, r] down [r, in], for evolving rows alone.
void declare_adapters(const ModelConfig& c, int64_t layer, ParameterStore& parameters) {
  const auto declare = [&](const char* matrix, int64_t out, int64_t in) {
    const std::string name = fmt::format("evo.layers.{}.adapters.{}.", layer, matrix);
    parameters.declare(name + "down.weight", {c.adapter_rank, in}, layer + 1);
    parameters.declare(name + "up.weight", {out, c.adapter_rank}, layer + 1);
  };
  const int64_t q_cols = c.num_attention_heads * c.head_dim;
  const int64_t kv_cols = c.num_key_value_heads * c.head_dim;
  declare("qkv", q_cols + 2 * kv_cols, c.hidden_size);
  declare("attention_out", c.hidden_size, q_cols);
  declare("gate_up", 2 * c.intermediate_size, c.hidden_size);
  declare("down", c.hidden_size, c.intermediate_size);
}

void declare_flow(const ModelConfig& c, ParameterStore& parameters) {
  parameters.declare("evo.codes", {c.vocab_size, c.code_size});
  parameters.declare("evo.evolve_in.weight", {c.hidden_size, 2 * c.code_size + c.time_features});
  if (c.window_places > 0)
    parameters.declare("evo.places.weight", {c.window_places, c.hidden_size});
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    parameters.declare(fmt::format("evo.layers.{}.modulation.weight", i),
                       {4 * c.hidden_size, c.time_features}, i + 1);
    if (c.adapter_rank > 0) declare_adapters(c, i, parameters);
  }
  const int64_t last = c.num_hidden_layers + 1;
  parameters.declare("evo.inner.in.weight", {2 * c.inner_size, 2 * c.hidden_size}, last);
  parameters.declare("evo.inner.out.weight", {c.hidden_size, c.inner_size}, last);
  parameters.declare("evo.maturity.weight", {c.hidden_size + 3}, last);
  if (c.ahead_size == 0) return;
  parameters.declare("evo.ahead.in.weight", {2 * c.ahead_states(), 2 * c.hidden_size}, last);
  const int64_t q_cols = c.num_attention_heads * c.head_dim;
  parameters.declare("evo.ahead.out.weight", {c.hidden_size, c.ahead_states() + 2 * c.hidden_size},
                     last);
  parameters.declare("evo.ahead.attention_norm.weight", {c.hidden_size}, last);
  parameters.declare("evo.ahead.query.weight", {q_cols, c.hidden_size}, last);
  parameters.declare("evo.ahead.attention_out.weight", {c.hidden_size, q_cols}, last);
  parameters.declare("evo.ahead.feed_forward_norm.weight", {c.hidden_size}, last);
  parameters.declare("evo.ahead.gate_up.weight", {2 * c.ahead_size, c.hidden_size}, last);
  parameters.declare("evo.ahead.down.weight", {c.hidden_size, c.ahead_size}, last);
  parameters.declare("evo.ahead.norm.weight", {c.hidden_size}, last);
  parameters.declare("evo.ahead.maturity.weight", {c.hidden_size + 3}, last);
}

}  // namespace

void declare_parameters(const ModelConfig& config, ParameterStore& parameters) {
  const std::vector<int64_t> table = {config.vocab_size, config.hidden_size};
  parameters.declare("model.embed_tokens.weight", table);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) declare_layer(config, i, parameters);
  const int64_t last = config.num_hidden_layers + 1;
  parameters.declare("model.norm.weight", {config.hidden_size}, last);
  if (!config.tie_word_embeddings) parameters.declare("lm_head.weight", table, last);
  if (config.flow) declare_flow(config, parameters);
}

}  // namespace evo
