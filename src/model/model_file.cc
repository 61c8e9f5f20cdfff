// Reading and writing model folders.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/process/watcher.h"
#include "base/threads/parallel.h"
#include "model/model.h"
#include "model/sources/family_weights.h"
#include "model/sources/weight_source.h"
#include "ops/machine.h"
#include "weights/gguf/gguf_file.h"

namespace evo::model {
namespace {

std::vector<double> read_table(const weights::ArraySource& file, const char* name) {
  const weights::TensorInfo* info = file.find(name);
  if (info == nullptr || info->shape.size() != 1 || info->shape[0] > (1 << 20)) {
    fail("{}: expected a one-dimensional tensor '{}': is this model's file complete?",
         file.path().string(), name);
  }
  std::vector<float> values(static_cast<size_t>(info->shape[0]));
  file.read_f32(name, info->shape, values);
  return {values.begin(), values.end()};
}

/// What lies under our names must all be used: a config with fewer layers than the file has would
/// otherwise give a model that works, badly.
void require_all_used(const FamilyWeights& weights) {
  weights.source().for_each([&](const weights::TensorInfo& info) {
    if (!weights.leaves_out(info.name)) return;
    fail(
        "{}: tensor '{}' has no place in the model that config.json describes: expected a config "
        "of this very model",
        weights.source().path().string(), info.name);
  });
}

flow::EntropicTime read_time(const weights::ArraySource& file) {
  try {
    return {read_table(file, kTimeLogSnr), read_table(file, kTimeValue)};
  } catch (const Error& error) {
    const std::string path = file.path().string();
    if (std::string_view(error.what()).starts_with(path)) throw;
    fail("{}: {}", path, error.what());
  }
}

/// Arrays one below the other, [out, in] in bf16.
tensor::Tensor read_bits(const FamilyWeights& file, std::span<const Parameter> parts,
                         const std::vector<int64_t>& shape) {
  const tensor::Tensor bits = tensor::Tensor::empty(shape, tensor::DType::kBF16);
  uint16_t* at = bits.bf16();
  for (const Parameter& p : parts) {
    const int64_t numel = p.numel();
    file.read_bf16(p, {at, static_cast<size_t>(numel)});
    at += numel;
  }
  return bits;
}

/// The same in f32.
tensor::Tensor read_values(const FamilyWeights& file, std::span<const Parameter> parts,
                           const std::vector<int64_t>& shape) {
  const tensor::Tensor values = tensor::Tensor::empty(shape);
  std::span<float> rest = values.values();
  for (const Parameter& p : parts) {
    const auto numel = static_cast<size_t>(p.numel());
    file.read(p, rest.first(numel));
    rest = rest.subspan(numel);
  }
  return values;
}

/// The parts in groups; none if any is not.
std::vector<GroupedRows> grouped_rows(const FamilyWeights& file, std::span<const Parameter> parts) {
  std::vector<GroupedRows> all;
  for (const Parameter& p : parts) {
    std::optional<GroupedRows> rows;
    if (p.shape.size() == 2) rows = file.grouped(p);
    if (!rows) return {};
    all.push_back(std::move(*rows));
  }
  return all;
}

}  // namespace

Model Model::load(const std::string& folder) {
  return read(folder, [](Model& model, const FamilyWeights& file) {
    for (const Parameter& p : model.parameters_.list())
      file.read(p, model.parameters_.values_of(p));
  });
}

Model Model::load_packed(const std::string& folder, tensor::Precision precision) {
  return read(folder, [&](Model& model, const FamilyWeights& file) {
    std::vector<PackedUnit> layers, tables;
    for (const PackedUnit& unit : model.units()) {
      const bool is_table =
          unit.weight == &model.network_.embedding || unit.weight == &model.network_.unembedding;
      (is_table ? tables : layers).push_back(unit);
    }
    const Watcher& reader = watcher();  // other threads read for this one
    const bool as_stored = precision == tensor::Precision::kStored;
    const tensor::Precision others = as_stored ? ops::best_precision() : precision;
    std::atomic<bool> any_stored = false;
    const auto read_unit = [&](const PackedUnit& unit) {
      if (reader.wants_end()) fail_interrupted("interrupted while {} was read", folder);
      if (as_stored && model.pack_stored(file, unit)) {
        any_stored = true;
      } else {
        model.read_packed(file, unit, others);
      }
    };
    // Packing works in arrays as large as the weight. All weights of a thread use the same ones,
    // and then the tables do, whose parts threads share: they need too much for it to be added to
    // that.
    parallel_items(std::ssize(layers), [&](int64_t i) { read_unit(layers[i]); });
    tensor::trim_pool();
    for (const PackedUnit& table : tables) read_unit(table);
    tensor::trim_pool();
    model.precision_ = any_stored ? tensor::Precision::kStored : others;
  });
}

bool Model::pack_stored(const FamilyWeights& file, const PackedUnit& unit) {
  const auto [parts, weight] = unit;
  if (weight == nullptr) return false;
  const std::vector<GroupedRows> rows = grouped_rows(file, parts);
  if (rows.empty()) return false;
  set_packed(*weight, ops::pack_groups(rows, weight->value.cols()));
  parameters_.release(weight->value);
  return true;
}

void Model::read_packed(const FamilyWeights& file, const PackedUnit& unit,
                        tensor::Precision precision) {
  const auto [parts, weight] = unit;
  // What is packed as int8 too, or is none, is read where it belongs.
  if (weight == nullptr || is_ahead(*weight) || unembeds_ahead(*weight)) {
    for (const Parameter& p : parts) file.read(p, parameters_.values_of(p));
    if (weight != nullptr) pack(*weight, precision);
  } else if (precision != tensor::Precision::kF32 &&
             std::ranges::all_of(parts, [&](const auto& p) { return file.is_bf16(p); })) {
    pack_bits(file, parts, *weight, precision);
  } else {
    // Elsewhere: memory that was written already costs much less than new memory.
    const tensor::Tensor values = read_values(file, parts, weight->value.shape());
    set_packed(*weight, ops::pack_weight(values.f32(), values.rows(), values.cols(),
                                         packed_precision(*weight, precision)));
  }
  if (weight != nullptr) parameters_.release(weight->value);
}

void Model::pack_bits(const FamilyWeights& file, std::span<const Parameter> parts,
                      ops::Weight& weight, tensor::Precision precision) {
  const auto mapped = parts.size() == 1 ? file.mapped_bf16(parts[0]) : std::span<const uint16_t>();
  if (mapped.empty()) {
    return pack(weight, read_bits(file, parts, weight.value.shape()), precision);
  }
  set_packed(weight, ops::pack_bf16_weight(mapped.data(), weight.value.rows(), weight.value.cols(),
                                           packed_precision(weight, precision)));
}

Model Model::read(const std::string& folder,
                  const std::function<void(Model&, const FamilyWeights&)>& read_parameters) {
  const std::filesystem::path path(folder);
  if (!std::filesystem::is_directory(path) && !weights::is_gguf(path)) {
    fail(
        "{}: expected a model folder with config.json and model.safetensors or a GGUF file, found "
        "{}",
        folder, std::filesystem::exists(path) ? "a file of another kind" : "nothing");
  }
  ModelConfig config = ModelConfig::load(path);
  const std::unique_ptr<const weights::ArraySource> arrays = weights::open_arrays(path);
  const weights::ArraySource& file = *arrays;
  untie_if_heads_differ(file, config);
  const FamilyWeights weights(file, config);
  Model model(config, false);
  // Packing asks for it. Parameters are read before it is missed: what is wrong with them says
  // more.
  const weights::TensorInfo* const unigram = file.find(kUnigram);
  const bool has_unigram =
      unigram != nullptr && unigram->shape == std::vector<int64_t>{config.vocab_size};
  const auto read_unigram = [&] {
    read_parameter(file, kUnigram, {config.vocab_size}, model.unigram_);
  };
  if (config.flow && has_unigram) read_unigram();
  read_parameters(model, weights);
  require_all_used(weights);
  if (config.flow) {
    model.set_time(read_time(file));
    if (!has_unigram) read_unigram();
  }
  return model;
}

void Model::save(const std::string& folder, std::string_view weights) const {
  const std::filesystem::path path(folder);
  std::filesystem::create_directories(path);
  std::vector<weights::ArrayToWrite> arrays;
  for (const Parameter& p : parameters_.list()) {
    const bool matrix = p.shape.size() == 2;
    arrays.push_back({p.name, p.shape, parameters_.values_of(p), matrix ? weights : "F32"});
  }
  const std::vector<float> log_snr(time_->log_snr().begin(), time_->log_snr().end());
  const std::vector<float> values(time_->time_values().begin(), time_->time_values().end());
  if (config_.flow) {
    arrays.push_back({kTimeLogSnr, {static_cast<int64_t>(log_snr.size())}, log_snr});
    arrays.push_back({kTimeValue, {static_cast<int64_t>(values.size())}, values});
    arrays.push_back({kUnigram, {config_.vocab_size}, unigram_});
  }
  weights::write_safetensors(path / "model.safetensors", arrays_of_family(config_, arrays),
                             {{"format", "pt"}});
  config_.save(path / "config.json", weights);
}

}  // namespace evo::model
