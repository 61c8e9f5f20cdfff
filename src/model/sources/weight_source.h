// Weights wherever they come from, under the names of our own files, array by array.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "weights/array_source.h"
#include "weights/safetensors.h"

namespace evo::model {

// Beside the parameters, a model with the evolving stream keeps these tables in its file.
inline constexpr char kTimeLogSnr[] = "evo.time.log_snr";
inline constexpr char kTimeValue[] = "evo.time.value";
inline constexpr char kUnigram[] = "evo.unigram";

/// Reads a parameter. Throws Error if it is missing, has another shape, or holds what is no number.
void read_parameter(const weights::ArraySource& weights, const std::string& name,
                    const std::vector<int64_t>& shape, std::span<float> out);
/// The same of one whose array is BF16, without changing its numbers.
void read_bf16_parameter(const weights::ArraySource& weights, const std::string& name,
                         const std::vector<int64_t>& shape, std::span<uint16_t> out);
/// The same where it lies in the file; empty if it does not lie as 16-bit numbers must.
std::span<const uint16_t> mapped_bf16_parameter(const weights::ArraySource& weights,
                                                const std::string& name,
                                                const std::vector<int64_t>& shape);
/// Throws Error naming `name`, the first such element and `path` if a value is not finite.
void require_finite(std::span<const float> values, std::string_view name, std::string_view path);

/// Everything of a checkpoint: arrays are read when they are written, one at a time, so that
/// copying takes the memory of the largest of them in f32.
struct WeightSource {
  ModelConfig config;
  std::vector<weights::ArrayToWrite> arrays;
};

/// The parameters of such a model, out of the arrays of its family.
[[nodiscard]] std::vector<weights::ArrayToWrite> parameters_of(
    std::shared_ptr<const weights::ArraySource> weights, const ModelConfig& config);

/// Of a model folder or a GGUF file. `backbone_only` leaves out what only evolving tokens use.
[[nodiscard]] WeightSource folder_source(const std::filesystem::path& folder, bool backbone_only);

/// Of a llama2.c checkpoint in its first format: 7 whole numbers, then the weights in f32.
[[nodiscard]] WeightSource llama2c_source(const std::filesystem::path& file);

/// Writes config.json and model.safetensors, matrices in the format `weights` ("F32" or "BF16") and
/// the rest in f32.
void write_model_folder(const std::filesystem::path& folder, WeightSource source,
                        std::string_view weights);

}  // namespace evo::model
