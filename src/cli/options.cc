#include "cli/options.h"

#include <charconv>
#include <cmath>
#include <future>

#include "base/closest.h"
#include "base/threads/parallel.h"
#include "files/files.h"
#include "ops/machine.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGenerationConfig = "generation_config.json";
constexpr const char* kFingerprint = "tokenizer_fingerprint";

std::string fingerprint_text(const Tokenizer& tokenizer) {
  return fmt::format("{:016x}", tokenizer.fingerprint());
}

/// A model of another program has no fingerprint, and its vocabulary may be padded: there only a
/// token that the model does not know is certain to be wrong.
void check_vocabulary(const Tokenizer& tokenizer, const ModelConfig& config, const fs::path& folder,
                      const fs::path& file) {
  if (tokenizer.vocab_size() > config.vocab_size) {
    fail(
        "{}: the tokenizer has {} tokens, but the model only {}: they do not belong together; put "
        "back the tokenizer that the model was trained with",
        file.string(), tokenizer.vocab_size(), config.vocab_size);
  }
  if (!fs::exists(folder / kGenerationConfig)) return;
  const Record generation = Record::load(folder / kGenerationConfig);
  if (!generation.has(kFingerprint)) return;
  const std::string expected = generation.get_string(kFingerprint);
  if (expected == fingerprint_text(tokenizer)) return;
  fail(
      "{}: this is not the tokenizer that the model was trained with (fingerprint {}, expected {} "
      "as in {}); put back that one",
      file.string(), fingerprint_text(tokenizer), expected, kGenerationConfig);
}

/// The factor of "", "K", "Mi" and so on; 0 for what is none.
double factor_of(std::string_view unit) {
  if (unit.empty()) return 1;
  if (unit == "B") return 1e9;  // 300B tokens are billions
  constexpr std::string_view kLetters = "KMGTP";
  const size_t power = kLetters.find(unit[0]);
  const bool binary = unit.size() == 2 && unit[1] == 'i';
  if (power == kLetters.npos || (unit.size() > 1 && !binary)) return 0;
  return std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(power + 1));
}

}  // namespace

double parse_amount(const char* option, std::string_view text) {
  double number = 0;
  const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
  const double amount = number * factor_of(unit);
  if (fault == std::errc() && amount > 0 && std::isfinite(amount)) return amount;
  throw UsageError(fmt::format(
      "{} {}: expected a number above 0 with a unit, such as 80G, 2.5T or 80Gi (K, M, G or B, T, "
      "P: powers of 1000; Ki, Mi, Gi, Ti, Pi: of 1024)",
      option, text));
}

void use_threads(int threads) {
  if (threads > 0) set_threads(threads);
}

Precision parse_precision(const std::string& name) {
  if (name == "auto") return best_precision();
  if (name == "f32") return Precision::kF32;
  if (name == "bf16") return Precision::kBF16;
  if (name == "int8") return Precision::kInt8;
  throw UsageError(fmt::format("--precision '{}': expected auto, f32, bf16 or int8{}", name,
                               did_you_mean(name, {"auto", "f32", "bf16", "int8"})));
}

Precision parse_training_precision(const std::string& name) {
  const Precision precision = parse_precision(name);
  if (precision == Precision::kInt8) {
    throw UsageError("--precision int8: int8 is for decoding; train with auto, f32 or bf16");
  }
  return precision;
}

const char* precision_name(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return "f32";
    case Precision::kBF16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
  }
  check_failed("a precision", __FILE__, __LINE__);
}

Record generation_config(const Tokenizer& tokenizer) {
  Record record;
  record.set("eos_token_id", tokenizer.end_of_text());
  record.set("bos_token_id", tokenizer.end_of_text());
  record.set(kFingerprint, fingerprint_text(tokenizer));
  return record;
}

void copy_files(const fs::path& from, const fs::path& to, std::span<const char* const> names) {
  for (const char* name : names) {
    if (!fs::exists(from / name)) continue;
    write_atomically(to / name, read_file(from / name, int64_t{1} << 30));
  }
}

LoadedModel load_model(const std::string& folder, Precision precision) {
  // The file, where it is the usual one, so that errors name it.
  const fs::path usual = fs::path(folder) / "tokenizer.json";
  const fs::path path = fs::exists(usual) ? usual : fs::path(folder);
  // Large vocabularies take as long as the weights.
  std::future<Tokenizer> reading =
      std::async(std::launch::async, [&] { return Tokenizer::load(path); });
  Model model = Model::load_packed(folder, precision);
  Tokenizer tokenizer = reading.get();
  check_vocabulary(tokenizer, model.config(), folder, path);
  return {std::move(model), std::move(tokenizer)};
}

}  // namespace evo
