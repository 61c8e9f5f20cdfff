// Every trainable number of a model in one flat array, with named views.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensor/tensor.h"

namespace evo::model {

/// What a parameter is for, as plans count them.
enum class NetworkPart {
  kEmbedding,
  kAttention,
  kBiases,
  kFeedForward,
  kRouter,
  kExperts,
  kNorms,
  kCodes,
  kEvolveIn,
  kPlaces,
  kModulation,
  kInnerField,
  kMaturity,
  kAdapters,
};
inline constexpr size_t kParts = static_cast<size_t>(NetworkPart::kAdapters) + 1;

/// What a parameter of a fresh model is: normal with standard deviation 0.02, the same over
/// sqrt(2 layers) where a matrix adds to the residual stream, 1, 0, or normal with deviation 1.
enum class Initialization { kNormal, kResidual, kOnes, kZeros, kUnit };

struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;  ///< in floats, into the flat array
  /// When a pass reads it first: 0 before the layers, i + 1 in layer i, layers + 1 behind them.
  int64_t first_use = 0;
  NetworkPart part = NetworkPart::kEmbedding;
  Initialization start = Initialization::kNormal;
  [[nodiscard]] int64_t numel() const;
  [[nodiscard]] bool decays() const { return shape.size() == 2; }  ///< matrices, not norm weights
};

/// Values and gradients lie in two flat arrays with the same layout, so that the optimizer, the
/// gradient norm, averages and checkpoints each are one loop. Declare everything, then allocate().
class ParameterStore {
 public:
  /// Adds a parameter after all earlier ones, which gives it its offset. Parameters declared one
  /// after the other with equal column counts are adjacent in memory and can be viewed as one
  /// matrix (see fused()).
  void declare(Parameter parameter);

  /// All zero; memory is taken when it is first written. `gradients`: whether gradients will be
  /// wanted (training).
  void allocate(bool gradients);

  /// Gives back the memory of a tensor that nobody will use any more: touching it ends the program.
  void release(const tensor::Tensor& tensor) const;

  [[nodiscard]] const std::vector<Parameter>& list() const { return parameters_; }
  [[nodiscard]] const Parameter& find(const std::string& name) const;
  [[nodiscard]] tensor::Tensor tensor(const std::string& name) const;
  /// One matrix, or one vector, over the adjacent parameters `first` .. `last`.
  [[nodiscard]] tensor::Tensor fused(const std::string& first, const std::string& last) const;

  [[nodiscard]] std::span<float> values() const { return values_.values(); }
  [[nodiscard]] std::span<float> gradients() const { return gradients_.values(); }
  [[nodiscard]] std::span<float> values_of(const Parameter& p) const;
  void zero_gradients() const;

 private:
  [[nodiscard]] tensor::Tensor view(int64_t offset, std::vector<int64_t> shape) const;
  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, size_t> index_;  // by name
  int64_t size_ = 0;
  std::shared_ptr<void> memory_;  // of values_
  tensor::Tensor values_, gradients_;
};

/// True for what only evolving tokens use: all that is not the backbone.
[[nodiscard]] inline bool is_flow_parameter(std::string_view name) {
  return name.starts_with("evo.");
}

/// True for what only drafts, and no distribution, depends on.
[[nodiscard]] inline bool is_draft_parameter(std::string_view name) {
  return name.starts_with("evo.inner.") || name.starts_with("evo.ahead.") ||
         name.starts_with("evo.maturity.");
}

}  // namespace evo::model
