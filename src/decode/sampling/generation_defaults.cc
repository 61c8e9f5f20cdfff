#include "decode/sampling/generation_defaults.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "weights/model_documents.h"

namespace evo::decode {
namespace {

/// A number from `least` (excluded if `open`) to `most`; nothing if the record does not have it.
std::optional<double> number_of(const json::Record& record, const char* key, double least,
                                bool open, double most) {
  if (!record.has(key) || record.is_null(key)) return {};
  const double value = record.get_double(key);
  if ((open ? value > least : value >= least) && value <= most) return value;
  fail("{}: \"{}\" is {}, expected a number {} {} and at most {}: mend it, or use --no-defaults",
       record.source(), key, value, open ? "above" : "from", least, most);
}

}  // namespace

GenerationDefaults GenerationDefaults::of_record(const json::Record& record) {
  constexpr const char* kSample = "do_sample";
  GenerationDefaults result;
  const bool says = record.has(kSample) && !record.is_null(kSample);
  const bool samples = says && record.get_bool(kSample);
  result.temperature = number_of(record, "temperature", 0, false, kMaxTemperature);
  if (says && !samples) result.temperature = 0;
  if (samples && !result.temperature) result.temperature = 1;
  if (const auto k = number_of(record, "top_k", -1, false, INT32_MAX)) {
    result.top_k = std::max<int64_t>(0, static_cast<int64_t>(*k));
  }
  result.top_p = number_of(record, "top_p", 0, true, 1);
  result.repetition_penalty =
      number_of(record, "repetition_penalty", 0, true, kMaxRepetitionPenalty);
  return result;
}

GenerationDefaults GenerationDefaults::load(const std::filesystem::path& folder) {
  const std::optional<json::Record> record = load_generation_config(folder);
  return record ? of_record(*record) : GenerationDefaults();
}

std::string GenerationDefaults::text() const {
  std::vector<std::string> parts;
  if (temperature) parts.push_back(fmt::format("temperature {}", *temperature));
  if (top_k) parts.push_back(fmt::format("top_k {}", *top_k));
  if (top_p) parts.push_back(fmt::format("top_p {}", *top_p));
  if (repetition_penalty)
    parts.push_back(fmt::format("repetition_penalty {}", *repetition_penalty));
  return fmt::format("{}", fmt::join(parts, ", "));
}

json::Record GenerationDefaults::record() const {
  json::Record record;
  if (temperature) record.set("temperature", *temperature);
  if (top_k) record.set("top_k", *top_k);
  if (top_p) record.set("top_p", *top_p);
  if (repetition_penalty) record.set("repetition_penalty", *repetition_penalty);
  return record;
}

void GenerationDefaults::apply(SamplerOptions& sampler, ShapeOptions& shape) const {
  sampler.temperature = temperature.value_or(sampler.temperature);
  sampler.top_k = top_k.value_or(sampler.top_k);
  sampler.top_p = top_p.value_or(sampler.top_p);
  shape.repetition_penalty = repetition_penalty.value_or(shape.repetition_penalty);
}

std::optional<json::Record> load_generation_config(const std::filesystem::path& folder) {
  return weights::ModelDocuments(folder).record(kGenerationConfig);
}

}  // namespace evo::decode
