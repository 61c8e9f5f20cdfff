// Hugging Face folders whose matrices are in fewer bits, as config.json's "quantization_config"
// says.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "weights/quantized/quantization.h"
#include "weights/weight_folder.h"

namespace evo::weights {

/// Its arrays as if none were in fewer bits: a matrix is X.weight, and its dtype says how it is
/// stored. Weights are products in f32. Whoever made them may have had their inputs rounded, too;
/// ours are not.
class QuantizedFolder : public ArraySource {
 public:
  /// Throws Error if the parts of a matrix do not fit together.
  QuantizedFolder(const std::filesystem::path& folder, const Quantization& how);
  QuantizedFolder(const QuantizedFolder&) = delete;  // matrices know where the arrays are
  QuantizedFolder& operator=(const QuantizedFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const override { return folder_.path(); }
  [[nodiscard]] const TensorInfo* find(std::string_view name) const override;
  void for_each(const std::function<void(const TensorInfo&)>& visit) const override;
  void read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                std::span<float> out) const override;
  void read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                 std::span<uint16_t> out) const override;

 private:
  struct Matrix {
    TensorInfo info;
    std::function<void(std::span<float>)> read;
  };
  void add_scaled(const std::string& stem, const Quantization& how);
  void add_packed(const std::string& stem, const Quantization& how);
  void require_one(const std::string& plain, const std::string& packed) const;
  void leave_out_empty_bias(const std::string& stem);

  WeightFolder folder_;
  std::map<std::string, Matrix, std::less<>> matrices_;
  std::set<std::string, std::less<>> parts_;         // of matrices
  std::set<std::string, std::less<>> empty_biases_;  // all zeros: a network may have them or not
};

}  // namespace evo::weights
