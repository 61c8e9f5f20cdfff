#include "cli/options.h"

#include <charconv>
#include <cmath>

#include "base/closest.h"
#include "base/threads/parallel.h"
#include "ops/machine.h"

namespace evo::cli {
namespace {

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

tensor::Precision parse_precision(const std::string& name) {
  if (name == "auto") return tensor::Precision::kStored;
  if (name == "f32") return tensor::Precision::kF32;
  if (name == "bf16") return tensor::Precision::kBF16;
  if (name == "int8") return tensor::Precision::kInt8;
  if (name == "q8") return tensor::Precision::kQ8;
  if (name == "q4") return tensor::Precision::kQ4;
  throw UsageError(fmt::format("--precision '{}': expected auto, f32, bf16, q8, q4 or int8{}", name,
                               did_you_mean(name, {"auto", "f32", "bf16", "q8", "q4", "int8"})));
}

ops::CacheFormat parse_cache_format(const std::string& name) {
  if (name == "f32") return ops::CacheFormat::kF32;
  if (name == "bf16") return ops::CacheFormat::kBF16;
  if (name == "q8") return ops::CacheFormat::kQ8;
  throw UsageError(fmt::format("--kv-cache '{}': expected f32, bf16 or q8{}", name,
                               did_you_mean(name, {"f32", "bf16", "q8"})));
}

tensor::Precision parse_training_precision(const std::string& name) {
  if (name == "auto") return ops::best_precision();
  const tensor::Precision precision = parse_precision(name);
  if (!can_train(precision)) {
    throw UsageError(fmt::format("--precision {}: {} is for decoding; train with auto, f32 or bf16",
                                 name, name));
  }
  return precision;
}

}  // namespace evo::cli
