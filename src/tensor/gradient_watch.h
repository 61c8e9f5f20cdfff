// Which gradients are complete while a backward pass still runs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace evo::tensor {

/// Parameters are views (Tensor::view()) whose gradients lie in one array. An operation that will
/// add to a parameter's gradient keeps a handle on it in its closure on the tape; Tape::backward()
/// drops the closure when it has run. So a gradient is complete when no more handles are left than
/// there were before the pass. Operations need do nothing for this, and where nobody watches it
/// costs nothing.
class GradientWatch {
 public:
  /// Watches the views there are now whose gradients lie in `gradients`. To be made before the
  /// forward pass, while no tape holds a parameter.
  explicit GradientWatch(std::span<const float> gradients);

  /// True if nothing on a tape will add to gradients [begin, end) any more. To be asked by the
  /// thread that runs the pass.
  [[nodiscard]] bool complete(int64_t begin, int64_t end) const;

 private:
  friend class Tensor;
  struct Registry;
  static void list(const Tensor& view);  ///< tells of a new one

  struct View {
    int64_t begin, end;  // in the array of gradients
    Tensor handle;
    int64_t handles;  // before the pass, this one included
  };
  std::vector<View> views_;
};

}  // namespace evo::tensor
