#include "weights/quantized/quantized_folder.h"

#include <algorithm>

#include "weights/quantized/packed_matrix.h"
#include "weights/quantized/scaled_matrix.h"

namespace evo::weights {
namespace {

using enum Quantization::Method;

constexpr std::string_view kWeight = ".weight", kPackedWeight = ".weight_packed",
                           kWordsOfWeight = ".qweight";

std::string stem_of(const std::string& name, std::string_view suffix) {
  return name.substr(0, name.size() - suffix.size());
}

}  // namespace

QuantizedFolder::QuantizedFolder(const std::filesystem::path& folder, const Quantization& how)
    : folder_(folder) {
  const bool words = how.method == kGptq || how.method == kAwq;
  const std::string_view suffix = words ? kWordsOfWeight : (how.packed ? kPackedWeight : kWeight);
  folder_.for_each([&](const TensorInfo& info) {
    if (!info.name.ends_with(suffix)) return;
    const std::string stem = stem_of(info.name, suffix);
    const bool is_8_bit =
        info.dtype == "F8_E4M3" || (how.method == kCompressed && info.dtype == "I8");
    if (words) {
      add_packed(stem, how);
    } else if (how.packed || is_8_bit) {
      add_scaled(stem, how);
    }
  });
}

void QuantizedFolder::add_scaled(const std::string& stem, const Quantization& how) {
  const ScaledMatrix matrix(folder_, stem, how);
  const std::string name = stem + std::string(kWeight);
  if (how.packed) require_one(name, stem + std::string(kPackedWeight));
  // The last three are how inputs were to be rounded.
  for (const char* part : {how.method == kFp8 ? ".weight_scale_inv" : ".weight_scale",
                           ".activation_scale", ".input_scale", ".input_zero_point"})
    parts_.insert(stem + part);
  if (how.method == kCompressed) parts_.insert(stem + ".weight_zero_point");
  if (how.ordered) parts_.insert(stem + ".weight_g_idx");
  if (how.packed) parts_.insert({stem + ".weight_packed", stem + ".weight_shape"});
  matrices_.emplace(name, Matrix{{name, matrix.dtype(), matrix.shape(), {}},
                                 [matrix](std::span<float> out) { matrix.read(out); }});
}

void QuantizedFolder::require_one(const std::string& plain, const std::string& packed) const {
  if (folder_.find(plain) == nullptr) return;
  fail("{}: there are both {} and {}: expected one of them", path().string(), plain, packed);
}

void QuantizedFolder::add_packed(const std::string& stem, const Quantization& how) {
  const PackedMatrix matrix(folder_, stem, how);
  const std::string name = stem + std::string(kWeight);
  require_one(name, stem + std::string(kWordsOfWeight));
  for (const char* part : {".qweight", ".qzeros", ".scales", ".g_idx"}) parts_.insert(stem + part);
  leave_out_empty_bias(stem);
  matrices_.emplace(name, Matrix{{name, how.method == kAwq ? "AWQ" : "GPTQ", matrix.shape(), {}},
                                 [matrix](std::span<float> out) { matrix.read(out); }});
}

/// AutoGPTQ wrote one for every matrix, whether the network had it or not.
void QuantizedFolder::leave_out_empty_bias(const std::string& stem) {
  const TensorInfo* const bias = folder_.find(stem + ".bias");
  if (bias == nullptr) return;
  const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
  if (std::ranges::all_of(bias->bytes, is_zero)) empty_biases_.insert(bias->name);
}

const TensorInfo* QuantizedFolder::find(std::string_view name) const {
  const auto matrix = matrices_.find(name);
  if (matrix != matrices_.end()) return &matrix->second.info;
  return parts_.contains(name) ? nullptr : folder_.find(name);
}

void QuantizedFolder::for_each(const std::function<void(const TensorInfo&)>& visit) const {
  for (const auto& [name, matrix] : matrices_) visit(matrix.info);
  folder_.for_each([&](const TensorInfo& info) {
    const bool hidden = matrices_.contains(info.name) || parts_.contains(info.name) ||
                        empty_biases_.contains(info.name);
    if (!hidden) visit(info);
  });
}

void QuantizedFolder::read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                               std::span<float> out) const {
  (void)checked(name, expected_shape);
  const auto matrix = matrices_.find(name);
  if (matrix == matrices_.end()) return folder_.read_f32(name, expected_shape, out);
  matrix->second.read(out);
}

void QuantizedFolder::read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                                std::span<uint16_t> out) const {
  checked_bf16(name, expected_shape);
  folder_.read_bf16(name, expected_shape, out);
}

}  // namespace evo::weights
