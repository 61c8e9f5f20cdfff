// evo_hf_parity FOLDER...: computes the logits of the text in each folder (text.json) by the
// Hugging Face checkpoint there, and how it goes on from "prompt" tokens of it. Writes them to
// expected.safetensors beside it, for reference/hf_check.py, whose documentation describes the
// format, to compare with PyTorch.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "decode/session/session.h"
#include "json/record.h"
#include "model/model.h"
#include "ops/head.h"
#include "weights/safetensors.h"

namespace evo {
namespace {

/// Tokens [begin, end) of a text as mature rows.
model::ForwardInput mature_rows(const std::vector<int64_t>& ids, int64_t begin, int64_t end) {
  model::ForwardInput input;
  for (int64_t i = begin; i < end; ++i) {
    input.ids.push_back(static_cast<int32_t>(ids[i]));
    input.positions.push_back(static_cast<int32_t>(i));
    input.ranges.push_back({0, static_cast<int32_t>(i) + 1, 0, 0});
  }
  return input;
}

/// Logits [n, V] of the text in pieces of 1, 2, 3 .. tokens, through `cache` unless it is null:
/// then in one pass.
std::vector<float> logits(const model::Model& model, const std::vector<int64_t>& ids,
                          model::KvCache* cache) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  std::vector<float> all;
  const auto length = std::ssize(ids);
  for (int64_t begin = 0, piece = 1; begin < length; begin += piece++) {
    if (cache == nullptr) piece = length;
    const model::ForwardInput input = mature_rows(ids, begin, std::min(begin + piece, length));
    const tensor::Tensor h =
        cache != nullptr ? model.forward(tape, input, cache) : model.forward(tape, input);
    const tensor::Tensor piece_logits =
        ops::head_logits(tape, h, 0, h.rows(), model.unembedding(), nullptr);
    all.insert(all.end(), piece_logits.values().begin(), piece_logits.values().end());
  }
  return all;
}

/// How `model`, packed, goes on greedily, past what would end the text.
std::vector<float> continuation(const model::Model& model, std::span<const int64_t> prompt,
                                int64_t tokens) {
  const decode::Decoder decoder(model, false);
  decode::DecodeOptions options;
  options.mode = decode::Mode::kAr;
  options.sampler.temperature = 0;
  options.max_tokens = tokens;
  decode::Session session(decoder, options, decode::Prompt::of_text({prompt.begin(), prompt.end()}),
                          {});
  while (!session.done()) session.step();
  return {session.generated().begin(), session.generated().end()};
}

void write_expected(const std::filesystem::path& folder) {
  const json::Record text = json::Record::load(folder / "text.json");
  const std::vector<int64_t> ids = text.get_ints("ids");
  const model::Model model = model::Model::load(folder.string());
  const model::Model packed = model::Model::load_packed(folder.string(), tensor::Precision::kF32);
  model::KvCache cache(packed.config(), std::ssize(ids));
  const std::vector<float> plain = logits(model, ids, nullptr);
  const std::vector<float> cached = logits(packed, ids, &cache);
  const std::vector<float> next = continuation(packed, std::span(ids).first(text.get_int("prompt")),
                                               text.get_int("continuation"));
  const std::vector<int64_t> shape = {std::ssize(ids), model.config().vocab_size};
  weights::write_safetensors(folder / "expected.safetensors",
                             {{"logits", shape, plain},
                              {"cached_logits", shape, cached},
                              {"continuation", {std::ssize(next)}, next}});
}

}  // namespace
}  // namespace evo

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr,
               "usage: evo_hf_parity FOLDER... (made by reference/hf_check.py --generate)\n");
    return 2;
  }
  try {
    for (int i = 1; i < argc; ++i) evo::write_expected(argv[i]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "evo_hf_parity: {}\n", error.what());
    return 1;
  }
  return 0;
}
