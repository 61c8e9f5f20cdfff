// How a model asks to be sampled: the settings that come with its files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "decode/options.h"
#include "json/record.h"

namespace evo::decode {

/// Where a value is missing, the model says nothing of it. A plain struct, so that any form of
/// model file can fill it; the tokens that end texts are ModelConfig::eos_token_ids.
struct GenerationDefaults {
  std::optional<double> temperature;  ///< 0: greedy
  std::optional<int64_t> top_k;       ///< 0: all
  std::optional<double> top_p, repetition_penalty;

  /// What generation_config.json says. `do_sample: false` is a temperature of 0; with
  /// `do_sample: true` and no temperature it is 1. Null counts as nothing. Throws Error, naming the
  /// key, for values that cannot be.
  static GenerationDefaults of_record(const json::Record& record);
  /// Those of a model folder; none if it has no such file, or an empty one.
  static GenerationDefaults load(const std::filesystem::path& folder);

  [[nodiscard]] bool empty() const {
    return !temperature && !top_k && !top_p && !repetition_penalty;
  }
  /// "temperature 0.6, top_p 0.95"; empty if there are none.
  [[nodiscard]] std::string text() const;
  /// As a JSON object.
  [[nodiscard]] json::Record record() const;

  /// Sets what is there.
  void apply(SamplerOptions& sampler, ShapeOptions& shape) const;
};

/// The file of a model folder that says this.
inline constexpr const char* kGenerationConfig = "generation_config.json";

/// Its record; nothing if there is no such file, or an empty one, which transformers takes for
/// none.
[[nodiscard]] std::optional<json::Record> load_generation_config(
    const std::filesystem::path& folder);

}  // namespace evo::decode
