// Reading and writing model folders.
#include <cmath>
#include <filesystem>
#include <set>

#include "io/safetensors.h"
#include "model/model.h"

namespace evo {
namespace {

constexpr char kTimeLogSnr[] = "evo.time.log_snr";
constexpr char kTimeValue[] = "evo.time.value";
constexpr char kUnigram[] = "evo.unigram";

std::vector<double> read_table(const SafetensorsFile& file, const char* name) {
  const TensorInfo* info = file.find(name);
  if (info == nullptr || info->shape.size() != 1 || info->shape[0] > (1 << 20)) {
    fail("{}: expected a one-dimensional tensor '{}': is this model's file complete?",
         file.path().string(), name);
  }
  std::vector<float> values(static_cast<size_t>(info->shape[0]));
  file.read_f32(name, info->shape, values);
  return {values.begin(), values.end()};
}

void require_finite(std::span<const float> values, const std::string& name,
                    const std::string& path) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      fail("{}: tensor '{}' holds {} at element {}: the file is damaged or its training diverged",
           path, name, values[i], i);
    }
  }
}

/// What lies under our names must all be used: a config with fewer layers than the file has would
/// otherwise give a model that works, badly.
void require_all_used(const SafetensorsFile& file, const ParameterStore& parameters) {
  std::set<std::string> used = {kTimeLogSnr, kTimeValue, kUnigram};
  for (const Parameter& p : parameters.list()) used.insert(p.name);
  for (const TensorInfo& info : file.tensors()) {
    const bool ours = info.name.starts_with("model.") || info.name.starts_with("evo.");
    if (info.name.ends_with("rotary_emb.inv_freq")) continue;  // old files repeat rope_theta so
    if (!ours || used.contains(info.name)) continue;
    fail(
        "{}: tensor '{}' has no place in the model that config.json describes: expected a config "
        "of this very model",
        file.path().string(), info.name);
  }
}

EntropicTime read_time(const SafetensorsFile& file) {
  try {
    return {read_table(file, kTimeLogSnr), read_table(file, kTimeValue)};
  } catch (const Error& error) {
    const std::string path = file.path().string();
    if (std::string_view(error.what()).starts_with(path)) throw;
    fail("{}: {}", path, error.what());
  }
}

}  // namespace

Model Model::load(const std::string& folder) {
  return read(folder, [](Model&, const Parameter&) {});
}

Model Model::load_packed(const std::string& folder, Precision precision) {
  return read(folder, [&](Model& model, const Parameter& last) {
    // Parameters lie in memory in the order in which they are read.
    const float* const read_end = model.parameters_.values_of(last).data() + last.numel();
    for (Weight* w : model.weights()) {
      if (w->packed || w->value.f32() + w->value.numel() > read_end) continue;
      model.pack(*w, precision);
      model.parameters_.release(w->value);
    }
  });
}

Model Model::read(const std::string& folder,
                  const std::function<void(Model&, const Parameter&)>& on_read) {
  const std::filesystem::path path(folder);
  if (!std::filesystem::is_directory(path)) {
    fail("{}: expected a model folder with config.json and model.safetensors, found {}", folder,
         std::filesystem::exists(path) ? "a file" : "nothing");
  }
  const ModelConfig config = ModelConfig::load(path / "config.json");
  const SafetensorsFile file(path / "model.safetensors");
  Model model(config, false);
  for (const Parameter& p : model.parameters_.list()) {
    file.read_f32(p.name, p.shape, model.parameters_.values_of(p));
    require_finite(model.parameters_.values_of(p), p.name, file.path());
    on_read(model, p);
  }
  require_all_used(file, model.parameters_);
  if (config.flow) {
    model.set_time(read_time(file));
    model.unigram_.resize(static_cast<size_t>(config.vocab_size));
    file.read_f32(kUnigram, {config.vocab_size}, model.unigram_);
    require_finite(model.unigram_, kUnigram, file.path());
  }
  return model;
}

void Model::save(const std::string& folder, std::string_view weights) const {
  const std::filesystem::path path(folder);
  std::filesystem::create_directories(path);
  std::vector<ArrayToWrite> arrays;
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
  write_safetensors(path / "model.safetensors", arrays, {{"format", "pt"}});
  config_.save(path / "config.json");
}

}  // namespace evo
