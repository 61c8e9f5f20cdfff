#include "weights/gguf/meaningless_gguf.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "weights/gguf/gguf_writer.h"

namespace evo::weights {
namespace {

/// A SentencePiece vocabulary of three special tokens, all bytes and made-up words, which is enough
/// for programs that take and give text.
void set_vocabulary(GgufWriter& writer, int64_t size) {
  constexpr int64_t kSpecial = 3, kBytes = 256;
  if (size < kSpecial + kBytes) return writer.set("tokenizer.ggml.model", "no_vocab");
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {GgufToken::kUnknown, GgufToken::kControl, GgufToken::kControl};
  for (int64_t i = 0; i < kBytes; ++i) tokens.push_back(fmt::format("<0x{:02X}>", i));
  types.resize(tokens.size(), GgufToken::kByte);
  for (int64_t i = kSpecial + kBytes; i < size; ++i) tokens.push_back(fmt::format("w{}", i));
  types.resize(tokens.size(), GgufToken::kNormal);
  const std::vector<float> scores(tokens.size());
  writer.set("tokenizer.ggml.model", "llama");
  writer.set("tokenizer.ggml.tokens", tokens);
  writer.set("tokenizer.ggml.scores", scores);
  writer.set("tokenizer.ggml.token_type", types);
  writer.set("tokenizer.ggml.unknown_token_id", int64_t{0});
  writer.set("tokenizer.ggml.bos_token_id", int64_t{1});
  writer.set("tokenizer.ggml.eos_token_id", int64_t{2});
}

void set_shape(GgufWriter& writer, const GgufShape& s, const BlockFormat& format) {
  writer.set("general.architecture", "llama");
  writer.set("general.file_type", format.file_type);
  writer.set("llama.vocab_size", s.vocabulary);
  writer.set("llama.context_length", s.context);
  writer.set("llama.embedding_length", s.hidden);
  writer.set("llama.block_count", s.layers);
  writer.set("llama.feed_forward_length", s.feed_forward);
  writer.set("llama.attention.head_count", s.heads);
  writer.set("llama.attention.head_count_kv", s.kv_heads);
  writer.set("llama.attention.key_length", s.head_size);
  writer.set("llama.attention.value_length", s.head_size);
  writer.set("llama.attention.layer_norm_rms_epsilon", s.norm_eps);
  writer.set("llama.rope.dimension_count", s.head_size);
  writer.set("llama.rope.freq_base", s.rope_theta);
}

/// A megabyte or so of weights, to be repeated: of size about 0.02, so that nothing overflows.
std::string some_weights(const BlockFormat& format) {
  constexpr size_t kWeights = size_t{1} << 18;
  std::vector<float> values(kWeights);
  Random random(1);
  for (float& value : values) value = 0.02f * random.normal();
  const int64_t blocks = std::ssize(values) / format.weights;
  std::string bytes(static_cast<size_t>(blocks * format.block_bytes), '\0');
  format.write(values.data(), blocks, reinterpret_cast<uint8_t*>(bytes.data()));
  return bytes;
}

/// Adds the arrays of a Llama, all matrices from the same few weights.
class Arrays {
 public:
  Arrays(GgufWriter& writer, const BlockFormat& format)
      : writer_(writer), format_(format), weights_(some_weights(format)) {}

  void matrix(const std::string& name, int64_t rows, int64_t cols) {
    const int64_t bytes = rows * cols / format_.weights * format_.block_bytes;
    writer_.add(name, {rows, cols}, format_, [this, bytes](files::AtomicFile& file) {
      for (int64_t left = bytes; left > 0; left -= std::ssize(weights_)) {
        const auto part = static_cast<size_t>(std::min(left, std::ssize(weights_)));
        file.write(std::string_view(weights_).substr(0, part));
      }
    });
  }
  void norm(const std::string& name, int64_t size) {
    writer_.add_values(name, {size}, *find_block_format("F32"),
                       [](std::span<float> out) { std::ranges::fill(out, 1.0f); });
  }

 private:
  GgufWriter& writer_;
  const BlockFormat& format_;
  std::string weights_;
};

void add_arrays(Arrays& arrays, const GgufShape& s) {
  const int64_t q = s.heads * s.head_size, kv = s.kv_heads * s.head_size;
  arrays.matrix("token_embd.weight", s.vocabulary, s.hidden);
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto name = [&](const char* part) { return fmt::format("blk.{}.{}.weight", i, part); };
    arrays.norm(name("attn_norm"), s.hidden);
    arrays.matrix(name("attn_q"), q, s.hidden);
    arrays.matrix(name("attn_k"), kv, s.hidden);
    arrays.matrix(name("attn_v"), kv, s.hidden);
    arrays.matrix(name("attn_output"), s.hidden, q);
    arrays.norm(name("ffn_norm"), s.hidden);
    arrays.matrix(name("ffn_gate"), s.feed_forward, s.hidden);
    arrays.matrix(name("ffn_up"), s.feed_forward, s.hidden);
    arrays.matrix(name("ffn_down"), s.hidden, s.feed_forward);
  }
  arrays.norm("output_norm.weight", s.hidden);
  if (!s.tied) arrays.matrix("output.weight", s.vocabulary, s.hidden);
}

}  // namespace

void write_meaningless_gguf(const std::filesystem::path& path, const GgufShape& shape,
                            std::string_view format) {
  const BlockFormat* const found = find_block_format(format);
  EVO_CHECK(found != nullptr && found->write != nullptr);
  GgufWriter writer;
  set_shape(writer, shape, *found);
  set_vocabulary(writer, shape.vocabulary);
  Arrays arrays(writer, *found);
  add_arrays(arrays, shape);
  writer.write(path);
}

}  // namespace evo::weights
