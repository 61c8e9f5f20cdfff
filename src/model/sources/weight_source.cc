#include "model/sources/weight_source.h"

#include <atomic>
#include <bit>
#include <cmath>

#include "base/float_formats.h"
#include "base/threads/parallel.h"
#include "model/layout.h"
#include "model/sources/family_weights.h"

namespace evo::model {
namespace {

float value_of(float value) {
  return value;
}
float value_of(uint16_t bits) {
  return from_bf16(bits);
}

/// Whether all are finite; without a branch per value, so that it keeps pace with memory. `Bits` is
/// a value's bits as a whole number, `exponent` is what infinity and NaN have set.
template <class Bits, class Value>
bool all_finite(std::span<const Value> values, Bits exponent) {
  Bits found = 0;
  for (const Value value : values) {
    found |= (std::bit_cast<Bits>(value) & exponent) == exponent ? 1 : 0;
  }
  return found == 0;
}

template <class Bits, class Value>
void require_all_finite(std::span<const Value> values, Bits exponent, std::string_view name,
                        std::string_view path) {
  constexpr int64_t kPerThread = 1 << 16;
  std::atomic<bool> finite = true;
  parallel_for(std::ssize(values), kPerThread, [&](int64_t begin, int64_t end) {
    const auto part = values.subspan(begin, end - begin);
    if (!all_finite<Bits>(part, exponent)) finite = false;
  });
  if (finite) return;
  for (size_t i = 0; i < values.size(); ++i) {
    const float value = value_of(values[i]);
    if (std::isfinite(value)) continue;
    fail("{}: tensor '{}' holds {} at element {}: the file is damaged or its training diverged",
         path, name, value, i);
  }
}

}  // namespace

void require_finite(std::span<const float> values, std::string_view name, std::string_view path) {
  require_all_finite<uint32_t>(values, 0x7F800000, name, path);
}

void read_parameter(const weights::ArraySource& weights, const std::string& name,
                    const std::vector<int64_t>& shape, std::span<float> out) {
  weights.read_f32(name, shape, out);
  require_finite(out, name, weights.path().string());
}

void read_bf16_parameter(const weights::ArraySource& weights, const std::string& name,
                         const std::vector<int64_t>& shape, std::span<uint16_t> out) {
  weights.read_bf16(name, shape, out);
  require_all_finite<uint16_t>(std::span<const uint16_t>(out), 0x7F80, name,
                               weights.path().string());
}

std::span<const uint16_t> mapped_bf16_parameter(const weights::ArraySource& weights,
                                                const std::string& name,
                                                const std::vector<int64_t>& shape) {
  const weights::TensorInfo* const info = weights.find(name);
  if (info == nullptr || info->dtype != "BF16" || info->shape != shape || info->bytes.empty() ||
      reinterpret_cast<uintptr_t>(info->bytes.data()) % alignof(uint16_t) != 0) {
    return {};
  }
  const std::span values(reinterpret_cast<const uint16_t*>(info->bytes.data()),
                         info->bytes.size() / sizeof(uint16_t));
  require_all_finite<uint16_t>(values, 0x7F80, name, weights.path().string());
  return values;
}

std::vector<weights::ArrayToWrite> parameters_of(
    std::shared_ptr<const weights::ArraySource> weights, const ModelConfig& config) {
  const auto of_family = std::make_shared<const FamilyWeights>(*weights, config);
  ParameterStore parameters;
  declare_parameters(config, parameters);
  std::vector<weights::ArrayToWrite> arrays;
  for (const Parameter& p : parameters.list()) {
    const auto make = [weights, of_family, p](std::span<float> out) { of_family->read(p, out); };
    arrays.push_back({p.name, p.shape, {}, "F32", make});
  }
  return arrays;
}

WeightSource folder_source(const std::filesystem::path& folder, bool backbone_only) {
  WeightSource source{ModelConfig::load(folder), {}};
  const std::shared_ptr<const weights::ArraySource> weights = weights::open_arrays(folder);
  if (backbone_only) source.config.flow = false;
  untie_if_heads_differ(*weights, source.config);
  source.arrays = parameters_of(weights, source.config);
  if (!source.config.flow) return source;
  for (const char* table : {kTimeLogSnr, kTimeValue, kUnigram}) {
    const weights::TensorInfo* const info = weights->find(table);
    if (info == nullptr) {
      fail("{}: there is no array {}: is this model's file complete?", weights->path().string(),
           table);
    }
    const auto make = [weights, table, shape = info->shape](std::span<float> out) {
      read_parameter(*weights, table, shape, out);
    };
    source.arrays.push_back({table, info->shape, {}, "F32", make});
  }
  return source;
}

void write_model_folder(const std::filesystem::path& folder, WeightSource source,
                        std::string_view weights) {
  for (weights::ArrayToWrite& array : source.arrays)
    array.dtype = array.shape.size() == 2 ? weights : "F32";
  std::filesystem::create_directories(folder);
  weights::write_safetensors(folder / "model.safetensors",
                             arrays_of_family(source.config, source.arrays), {{"format", "pt"}});
  source.config.save(folder / "config.json", weights);
}

}  // namespace evo::model
