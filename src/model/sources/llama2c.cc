// Checkpoints of llama2.c, whose weights lie in the file one kind after the other:
//
//   7 int32: hidden, feed-forward, layers, query heads, key heads, vocabulary (negative: untied),
//   context; then in f32 embedding, all first norms, all q, k, v, o, all second norms, all gate,
//   down, up, the last norm, tables of cosines and sines [context, head / 2] each, and the head if
//   it is not tied.
//
// Its rotary pairs are neighbours (2i, 2i + 1), where ours are (i, i + e/2).
#include <array>
#include <cstring>
#include <map>

#include "base/checked.h"
#include "files/files.h"
#include "model/layout.h"
#include "model/sources/weight_source.h"
#include "weights/gguf/rotary_rows.h"

namespace evo::model {
namespace {

constexpr int64_t kHeaderBytes = 7 * sizeof(int32_t);

struct Llama2cFile {
  explicit Llama2cFile(const std::filesystem::path& path) : file(path) {}
  [[nodiscard]] std::string name() const { return file.path().string(); }

  /// Floats [offset, offset + out) behind the header; the file is not aligned.
  void copy(int64_t offset, std::span<float> out) const {
    const auto begin = static_cast<size_t>(kHeaderBytes) + static_cast<size_t>(offset) * 4;
    const auto bytes = file.bytes().subspan(begin, out.size_bytes());
    std::memcpy(out.data(), bytes.data(), bytes.size());
    file.forget(bytes);
  }

  files::MappedFile file;
};

ModelConfig read_header(const Llama2cFile& file) {
  std::array<int32_t, 7> header{};
  if (std::cmp_less(file.file.bytes().size(), kHeaderBytes)) {
    fail("{}: {} bytes are too few for a llama2.c checkpoint: incomplete download?", file.name(),
         file.file.bytes().size());
  }
  std::memcpy(header.data(), file.file.bytes().data(), kHeaderBytes);
  const auto [hidden, feed_forward, layers, heads, kv_heads, vocabulary, context] = header;
  constexpr int32_t kLaterFormats = 0x616B3432;  // "ak42"
  if (hidden == kLaterFormats) {
    fail(
        "{}: a llama2.c checkpoint of version {}: expected the first format (export.py --version "
        "0)",
        file.name(), feed_forward);
  }
  ModelConfig config;
  config.flow = false;
  config.hidden_size = hidden;
  config.intermediate_size = feed_forward;
  config.num_hidden_layers = layers;
  config.num_attention_heads = heads;
  config.num_key_value_heads = kv_heads;
  config.head_dim = heads > 0 ? hidden / heads : 0;
  config.vocab_size = std::abs(int64_t{vocabulary});
  config.tie_word_embeddings = vocabulary > 0;
  config.max_position_embeddings = context;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 10000;
  config.bos_token_id = 1;
  config.eos_token_ids = {2, 1};  // its program ends a text where the next one begins
  try {
    config.validate();
  } catch (const Error& error) {
    fail("{}: is this a llama2.c checkpoint? {}", file.name(), error.what());
  }
  return config;
}

/// Where each array begins, in floats behind the header.
std::map<std::string, int64_t> layout(const ModelConfig& config, const ParameterStore& parameters,
                                      const Llama2cFile& file) {
  static constexpr std::array kKinds = {
      "input_layernorm.weight",  "self_attn.q_proj.weight", "self_attn.k_proj.weight",
      "self_attn.v_proj.weight", "self_attn.o_proj.weight", "post_attention_layernorm.weight",
      "mlp.gate_proj.weight",    "mlp.down_proj.weight",    "mlp.up_proj.weight"};
  std::map<std::string, int64_t> offsets;
  int64_t at = 0;
  const auto place = [&](const std::string& name) {
    offsets[name] = at;
    at = checked_add(at, parameters.find(name).numel(), file.name());
  };
  place("model.embed_tokens.weight");
  for (const char* kind : kKinds) {
    for (int64_t i = 0; i < config.num_hidden_layers; ++i)
      place(fmt::format("model.layers.{}.{}", i, kind));
  }
  place("model.norm.weight");
  at += config.max_position_embeddings * config.head_dim;  // cosines and sines
  if (!config.tie_word_embeddings) place("lm_head.weight");
  const int64_t expected = kHeaderBytes + checked_mul(at, int64_t{4}, file.name());
  if (std::cmp_not_equal(expected, file.file.bytes().size())) {
    fail("{}: its header makes {} bytes, found {}: incomplete download, or no llama2.c checkpoint?",
         file.name(), expected, file.file.bytes().size());
  }
  return offsets;
}

/// Rows of each head from neighbouring pairs to halves: 0, 2, 4 .. then 1, 3, 5 ..
void split_pairs(std::span<float> rows, int64_t head_size, int64_t width) {
  const std::vector<float> before(rows.begin(), rows.end());
  const int64_t count = std::ssize(rows) / width;
  for (int64_t r = 0; r < count; ++r) {
    const int64_t from = weights::neighbouring_row(r, head_size / 2);
    std::copy_n(before.begin() + from * width, width, rows.begin() + r * width);
  }
}

}  // namespace

WeightSource llama2c_source(const std::filesystem::path& path) {
  const auto file = std::make_shared<const Llama2cFile>(path);
  WeightSource source{read_header(*file), {}};
  const ModelConfig& config = source.config;
  ParameterStore parameters;
  declare_parameters(config, parameters);
  const std::map<std::string, int64_t> offsets = layout(config, parameters, *file);
  for (const Parameter& p : parameters.list()) {
    const bool rotated = p.name.ends_with("q_proj.weight") || p.name.ends_with("k_proj.weight");
    const int64_t head_size = rotated ? config.head_dim : 0;
    const auto make = [file, head_size, name = p.name, width = config.hidden_size,
                       offset = offsets.at(p.name)](std::span<float> out) {
      file->copy(offset, out);
      require_finite(out, name, file->name());
      if (head_size > 0) split_pairs(out, head_size, width);
    };
    source.arrays.push_back({p.name, p.shape, {}, "F32", make});
  }
  return source;
}

}  // namespace evo::model
