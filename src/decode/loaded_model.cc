#include "decode/loaded_model.h"

#include <future>

#include "base/error.h"
#include "decode/sampling/generation_defaults.h"

namespace evo::decode {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFingerprint = "tokenizer_fingerprint";

std::string fingerprint_text(const tokenizer::Tokenizer& tokenizer) {
  return fmt::format("{:016x}", tokenizer.fingerprint());
}

/// A model of another program has no fingerprint, and its vocabulary may be padded, or lack tokens
/// that were added later: there only an ordinary token that the model does not know is certain to
/// be wrong.
void check_vocabulary(const tokenizer::Tokenizer& tokenizer, const model::ModelConfig& config,
                      const fs::path& folder, const fs::path& file) {
  if (tokenizer.ordinary_size() > config.vocab_size) {
    fail(
        "{}: the tokenizer has {} tokens, but the model only {}: they do not belong together; put "
        "back the tokenizer that the model was trained with",
        file.string(), tokenizer.ordinary_size(), config.vocab_size);
  }
  const std::optional<json::Record> generation = load_generation_config(folder);
  if (!generation || !generation->has(kFingerprint)) return;
  const std::string expected = generation->get_string(kFingerprint);
  if (expected == fingerprint_text(tokenizer)) return;
  fail(
      "{}: this is not the tokenizer that the model was trained with (fingerprint {}, expected {} "
      "as in {}); put back that one",
      file.string(), fingerprint_text(tokenizer), expected, kGenerationConfig);
}

}  // namespace

const char* precision_name(tensor::Precision precision) {
  switch (precision) {
    case tensor::Precision::kF32:
      return "f32";
    case tensor::Precision::kBF16:
      return "bf16";
    case tensor::Precision::kInt8:
      return "int8";
    case tensor::Precision::kQ8:
      return "q8";
    case tensor::Precision::kQ4:
      return "q4";
    case tensor::Precision::kStored:
      return "stored";
  }
  check_failed("a precision", __FILE__, __LINE__);
}

const char* cache_format_name(ops::CacheFormat format) {
  switch (format) {
    case ops::CacheFormat::kF32:
      return "f32";
    case ops::CacheFormat::kBF16:
      return "bf16";
    case ops::CacheFormat::kQ8:
      return "q8";
  }
  check_failed("a format of keys", __FILE__, __LINE__);
}

json::Record generation_config(const tokenizer::Tokenizer& tokenizer,
                               const model::ModelConfig& config,
                               std::optional<json::Record> parent) {
  json::Record record = parent.value_or(json::Record());
  const auto says = [&](const char* key) { return record.has(key) && !record.is_null(key); };
  const int32_t end = tokenizer.end_of_text();
  if (!says("eos_token_id") && !config.eos_token_ids.empty()) {
    record.set("eos_token_id", config.eos_token_ids);
  } else if (!says("eos_token_id") && end >= 0) {
    record.set("eos_token_id", end);
  }
  const int64_t begin = config.bos_token_id < 0 ? end : config.bos_token_id;
  if (!says("bos_token_id") && begin >= 0) record.set("bos_token_id", begin);
  record.set(kFingerprint, fingerprint_text(tokenizer));
  return record;
}

LoadedModel load_model(const std::string& folder, tensor::Precision precision,
                       ops::CacheFormat cache_format) {
  // The file, where it is the usual one, so that errors name it.
  const fs::path usual = fs::path(folder) / "tokenizer.json";
  const fs::path path = fs::exists(usual) ? usual : fs::path(folder);
  // Large vocabularies take as long as the weights.
  std::future<tokenizer::Tokenizer> reading =
      std::async(std::launch::async, [&] { return tokenizer::Tokenizer::load(path); });
  model::Model model = model::Model::load_packed(folder, precision);
  model.set_cache_format(cache_format);
  tokenizer::Tokenizer tokenizer = reading.get();
  check_vocabulary(tokenizer, model.config(), folder, path);
  return {std::move(model), std::move(tokenizer)};
}

}  // namespace evo::decode
