#include "weights/gguf.h"

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/checked.h"
#include "base/float_formats.h"
#include "base/random.h"
#include "files/files.h"

namespace evo::weights {
namespace {

// Numbers of the format, version 3.
enum class ValueType : uint32_t { kUint32 = 4, kInt32 = 5, kFloat32 = 6, kString = 8, kArray = 9 };
enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };
constexpr int64_t kGgufAlignment = 32;
constexpr int64_t kQ8Block = 32;  // weights that share one f16 scale

struct TypeInfo {
  uint32_t tensor, file;  // as tensors and `general.file_type` name it
  int64_t block, block_bytes;
};

TypeInfo info_of(GgufType type) {
  switch (type) {
    case GgufType::kF32:
      return {0, 0, 1, 4};
    case GgufType::kBF16:
      return {30, 32, 1, 2};
    case GgufType::kQ8:
      return {8, 7, kQ8Block, kQ8Block + 2};
  }
  EVO_CHECK(false);
}

class Bytes {
 public:
  template <class Value>
  void put(Value value) {
    std::array<char, sizeof(Value)> raw;
    std::memcpy(raw.data(), &value, sizeof value);
    bytes_.append(raw.data(), raw.size());
  }
  void put_text(std::string_view text) {
    put<uint64_t>(text.size());
    bytes_ += text;
  }
  void put_key(std::string_view key, ValueType type) {
    put_text(key);
    put(static_cast<uint32_t>(type));
    ++keys_;
  }
  void set(std::string_view key, std::string_view value) {
    put_key(key, ValueType::kString);
    put_text(value);
  }
  void set(std::string_view key, int64_t value) {
    put_key(key, ValueType::kUint32);
    put(static_cast<uint32_t>(value));
  }
  void set(std::string_view key, double value) {
    put_key(key, ValueType::kFloat32);
    put(static_cast<float>(value));
  }
  /// The elements follow, each put by itself.
  void begin_array(std::string_view key, ValueType type, int64_t size) {
    put_key(key, ValueType::kArray);
    put(static_cast<uint32_t>(type));
    put(static_cast<uint64_t>(size));
  }
  [[nodiscard]] uint64_t keys() const { return keys_; }
  [[nodiscard]] const std::string& text() const { return bytes_; }

 private:
  std::string bytes_;
  uint64_t keys_ = 0;
};

struct TensorEntry {
  std::string name;
  int64_t rows, cols;  // a vector has one row
  bool is_vector;
};

std::vector<TensorEntry> tensors_of(const GgufShape& s) {
  const int64_t q = s.heads * s.head_size, kv = s.kv_heads * s.head_size;
  std::vector<TensorEntry> list = {{"token_embd.weight", s.vocabulary, s.hidden, false}};
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto add = [&](const char* part, int64_t rows, int64_t cols, bool is_vector = false) {
      list.push_back({fmt::format("blk.{}.{}.weight", i, part), rows, cols, is_vector});
    };
    add("attn_norm", 1, s.hidden, true);
    add("attn_q", q, s.hidden);
    add("attn_k", kv, s.hidden);
    add("attn_v", kv, s.hidden);
    add("attn_output", s.hidden, q);
    add("ffn_norm", 1, s.hidden, true);
    add("ffn_gate", s.feed_forward, s.hidden);
    add("ffn_up", s.feed_forward, s.hidden);
    add("ffn_down", s.hidden, s.feed_forward);
  }
  list.push_back({"output_norm.weight", 1, s.hidden, true});
  if (!s.tied) list.push_back({"output.weight", s.vocabulary, s.hidden, false});
  return list;
}

/// A SentencePiece vocabulary of three special tokens, all bytes and made-up words, which is enough
/// for programs that take and give text.
void add_vocabulary(Bytes& settings, int64_t size) {
  constexpr int64_t kSpecial = 3, kBytes = 256;
  if (size < kSpecial + kBytes) return settings.set("tokenizer.ggml.model", "no_vocab");
  settings.set("tokenizer.ggml.model", "llama");
  settings.begin_array("tokenizer.ggml.tokens", ValueType::kString, size);
  for (const char* name : {"<unk>", "<s>", "</s>"}) settings.put_text(name);
  for (int64_t i = 0; i < kBytes; ++i) settings.put_text(fmt::format("<0x{:02X}>", i));
  for (int64_t i = kSpecial + kBytes; i < size; ++i) settings.put_text(fmt::format("w{}", i));
  settings.begin_array("tokenizer.ggml.scores", ValueType::kFloat32, size);
  for (int64_t i = 0; i < size; ++i) settings.put(0.0f);
  settings.begin_array("tokenizer.ggml.token_type", ValueType::kInt32, size);
  for (int64_t i = 0; i < size; ++i) {
    const bool is_word = i >= kSpecial + kBytes;
    settings.put<int32_t>(is_word ? kNormal : i >= kSpecial ? kByte : i > 0 ? kControl : kUnknown);
  }
  settings.set("tokenizer.ggml.unknown_token_id", int64_t{0});
  settings.set("tokenizer.ggml.bos_token_id", int64_t{1});
  settings.set("tokenizer.ggml.eos_token_id", int64_t{2});
}

Bytes settings_of(const GgufShape& s, const TypeInfo& type) {
  Bytes settings;
  settings.set("general.architecture", "llama");
  settings.set("general.file_type", static_cast<int64_t>(type.file));
  settings.set("llama.vocab_size", s.vocabulary);
  settings.set("llama.context_length", s.context);
  settings.set("llama.embedding_length", s.hidden);
  settings.set("llama.block_count", s.layers);
  settings.set("llama.feed_forward_length", s.feed_forward);
  settings.set("llama.attention.head_count", s.heads);
  settings.set("llama.attention.head_count_kv", s.kv_heads);
  settings.set("llama.attention.key_length", s.head_size);
  settings.set("llama.attention.value_length", s.head_size);
  settings.set("llama.attention.layer_norm_rms_epsilon", s.norm_eps);
  settings.set("llama.rope.dimension_count", s.head_size);
  settings.set("llama.rope.freq_base", s.rope_theta);
  add_vocabulary(settings, s.vocabulary);
  return settings;
}

int64_t bytes_of(const TensorEntry& tensor, const TypeInfo& type) {
  if (tensor.is_vector) return tensor.cols * 4;
  const int64_t weights = checked_mul(tensor.rows, tensor.cols, tensor.name);
  return weights / type.block * type.block_bytes;
}

int64_t aligned(int64_t bytes) {
  return (bytes + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
}

/// A megabyte or so of weights, to be repeated: of size about 0.02, so that nothing overflows.
std::string some_weights(GgufType type) {
  constexpr int64_t kWeightsAtATime = int64_t{1} << 18;
  Bytes bytes;
  Random random(1);
  for (int64_t i = 0; i < kWeightsAtATime; ++i) {
    if (type == GgufType::kQ8) {
      if (i % kQ8Block == 0) bytes.put<uint16_t>(0x0A66);  // f16, about 0.0002
      bytes.put(static_cast<int8_t>(random.below(255)));
      continue;
    }
    const float value = 0.02f * random.normal();
    if (type == GgufType::kF32) bytes.put(value);
    if (type == GgufType::kBF16) bytes.put(to_bf16(value));
  }
  return bytes.text();
}

}  // namespace

void write_meaningless_gguf(const std::filesystem::path& path, const GgufShape& shape,
                            GgufType type) {
  const TypeInfo info = info_of(type);
  const std::vector<TensorEntry> tensors = tensors_of(shape);
  const Bytes settings = settings_of(shape, info);
  Bytes head;
  head.put<uint32_t>(0x46554747);  // "GGUF"
  head.put<uint32_t>(3);
  head.put<uint64_t>(tensors.size());
  head.put<uint64_t>(settings.keys());
  Bytes table;
  int64_t offset = 0;
  for (const TensorEntry& tensor : tensors) {
    if (tensor.cols % info.block != 0) {
      fail("a row of {} weights cannot be stored in blocks of {}", tensor.cols, info.block);
    }
    table.put_text(tensor.name);
    table.put<uint32_t>(tensor.is_vector ? 1 : 2);
    table.put<int64_t>(tensor.cols);
    if (!tensor.is_vector) table.put<int64_t>(tensor.rows);
    table.put<uint32_t>(tensor.is_vector ? 0 : info.tensor);
    table.put<int64_t>(offset);
    offset = checked_add(offset, aligned(bytes_of(tensor, info)), "size of the file");
  }
  files::AtomicFile file(path);
  std::string start = head.text() + settings.text() + table.text();
  start.resize(aligned(std::ssize(start)));
  file.write(start);
  const std::string weights = some_weights(type);
  for (const TensorEntry& tensor : tensors) {
    const int64_t bytes = bytes_of(tensor, info);
    if (tensor.is_vector) {
      Bytes ones;
      for (int64_t i = 0; i < tensor.cols; ++i) ones.put(1.0f);
      file.write(ones.text());
    } else {
      for (int64_t left = bytes; left > 0;) {
        const int64_t part = std::min<int64_t>(left, std::ssize(weights));
        file.write(std::string_view(weights).substr(0, part));
        left -= part;
      }
    }
    file.write(std::string(aligned(bytes) - bytes, '\0'));
  }
  file.commit();
}

}  // namespace evo::weights
