// The file has embedding, all first norms, all q, k, v, o, all second norms, all gate, down, up,
// the last norm, tables of cosines and sines [context, head / 2] each, and the head if it is not
// tied. Its rotary pairs are neighbours (2i, 2i + 1), where ours are (i, i + e/2).
#include "weights/llama2c_file.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "weights/gguf/rotary_rows.h"

namespace evo::weights {
namespace {

constexpr int64_t kHeaderBytes = 7 * sizeof(int32_t);
constexpr int64_t kFloat = sizeof(float);

Llama2cFile::Header read_header(const files::MappedFile& file) {
  const std::string name = file.path().string();
  std::array<int32_t, 7> numbers{};
  if (std::cmp_less(file.bytes().size(), kHeaderBytes)) {
    fail("{}: {} bytes are too few for a llama2.c checkpoint: incomplete download?", name,
         file.bytes().size());
  }
  std::memcpy(numbers.data(), file.bytes().data(), kHeaderBytes);
  const auto [hidden, feed_forward, layers, heads, kv_heads, vocabulary, context] = numbers;
  constexpr int32_t kLaterFormats = 0x616B3432;  // "ak42"
  if (hidden == kLaterFormats) {
    fail(
        "{}: a llama2.c checkpoint of version {}: expected the first format (export.py --version "
        "0)",
        name, feed_forward);
  }
  const bool positive = std::ranges::all_of(numbers, [&](const int32_t& number) {
    return number > 0 || (&number == &numbers[5] && number < 0);
  });
  if (!positive || hidden % heads != 0 || heads % kv_heads != 0) {
    fail(
        "{}: is this a llama2.c checkpoint? Its header says width {}, feed-forward {}, {} layers, "
        "{} heads, {} of keys, vocabulary {}, context {}",
        name, hidden, feed_forward, layers, heads, kv_heads, vocabulary, context);
  }
  return {hidden,  feed_forward,  layers, heads, kv_heads, std::abs(int64_t{vocabulary}),
          context, vocabulary > 0};
}

}  // namespace

Llama2cFile::Llama2cFile(const std::filesystem::path& path)
    : file_(path), header_(read_header(file_)) {
  place_arrays();
}

void Llama2cFile::require_size(int64_t end) const {
  if (std::cmp_equal(end, file_.bytes().size())) return;
  fail("{}: its header makes {} bytes, found {}: incomplete download, or no llama2.c checkpoint?",
       path().string(), end, file_.bytes().size());
}

void Llama2cFile::place_arrays() {
  const Header& h = header_;
  const std::string where = path().string();
  const int64_t keys = h.kv_heads * h.head_size();
  struct Kind {
    const char* name;
    std::vector<int64_t> shape;
    int64_t count;
    bool in_pairs = false;
  };
  const std::vector<int64_t> matrix = {h.vocabulary, h.hidden};
  const std::array kinds = {
      Kind{"model.embed_tokens.weight", matrix, 1},
      Kind{"model.layers.{}.input_layernorm.weight", {h.hidden}, h.layers},
      Kind{"model.layers.{}.self_attn.q_proj.weight", {h.hidden, h.hidden}, h.layers, true},
      Kind{"model.layers.{}.self_attn.k_proj.weight", {keys, h.hidden}, h.layers, true},
      Kind{"model.layers.{}.self_attn.v_proj.weight", {keys, h.hidden}, h.layers},
      Kind{"model.layers.{}.self_attn.o_proj.weight", {h.hidden, h.hidden}, h.layers},
      Kind{"model.layers.{}.post_attention_layernorm.weight", {h.hidden}, h.layers},
      Kind{"model.layers.{}.mlp.gate_proj.weight", {h.feed_forward, h.hidden}, h.layers},
      Kind{"model.layers.{}.mlp.down_proj.weight", {h.hidden, h.feed_forward}, h.layers},
      Kind{"model.layers.{}.mlp.up_proj.weight", {h.feed_forward, h.hidden}, h.layers},
      Kind{"model.norm.weight", {h.hidden}, 1},
      Kind{"", {h.context, h.head_size()}, 1},  // cosines and sines
      Kind{"lm_head.weight", matrix, h.tied ? 0 : 1}};
  const auto bytes_of = [&](const Kind& kind) {
    return checked_mul(element_count(kind.shape, where), kFloat, where);
  };
  // A header that lies must not cost memory: sizes first.
  int64_t end = kHeaderBytes;
  for (const Kind& kind : kinds)
    end = checked_add(end, checked_mul(bytes_of(kind), kind.count, where), where);
  require_size(end);
  std::span<const std::byte> rest = file_.bytes().subspan(kHeaderBytes);
  for (const Kind& kind : kinds) {
    for (int64_t i = 0; i < kind.count; ++i) {
      const auto bytes = rest.first(bytes_of(kind));
      rest = rest.subspan(bytes.size());
      if (*kind.name == '\0') continue;
      entries_.push_back({{fmt::format(fmt::runtime(kind.name), i), "F32", kind.shape,
                           kind.in_pairs ? std::span<const std::byte>() : bytes},
                          bytes,
                          kind.in_pairs});
    }
  }
}

const Llama2cFile::Entry* Llama2cFile::entry(std::string_view name) const {
  const auto found =
      std::ranges::find_if(entries_, [&](const Entry& e) { return e.info.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

const TensorInfo* Llama2cFile::find(std::string_view name) const {
  const Entry* const found = entry(name);
  return found == nullptr ? nullptr : &found->info;
}

void Llama2cFile::for_each(const std::function<void(const TensorInfo&)>& visit) const {
  for (const Entry& entry : entries_) visit(entry.info);
}

void Llama2cFile::read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                           std::span<float> out) const {
  (void)checked(name, expected_shape);
  const Entry& array = *entry(name);
  std::memcpy(out.data(), array.bytes.data(), array.bytes.size());  // the file is not aligned
  file_.forget(array.bytes);
  if (array.in_pairs) put_pairs_apart(out, array.info.shape[0], header_.head_size() / 2);
}

void Llama2cFile::read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                            std::span<uint16_t> /*out*/) const {
  checked_bf16(name, expected_shape);
}

}  // namespace evo::weights
