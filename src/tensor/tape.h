// The reverse-mode tape over coarse fused operations.
#pragma once

#include <functional>
#include <vector>

#include "tensor/tensor.h"

namespace evo::tensor {

/// Number format of matrix products' inputs. Sums are f32. For decoding only (PackedWeight): kInt8,
/// whole numbers with a scale for each row; kQ8 and kQ4, 8 and 4 bits with a scale for each 32 of a
/// row; kStored, what a file has in groups as it is there, and the rest in best_precision().
enum class Precision { kF32, kBF16, kInt8, kQ8, kQ4, kStored };
/// Whether products of gradients can be computed in it.
[[nodiscard]] constexpr bool can_train(Precision precision) {
  return precision == Precision::kF32 || precision == Precision::kBF16;
}

/// One run of the network: says whether gradients are wanted and in which precision products are
/// computed. Every op takes the tape first:
///
///   Tensor op(Tape& tape, inputs...) {
///     Tensor out = tape.output(shape);      // wants a gradient if the tape records
///     ... compute ...
///     if (tape.recording()) tape.record([=] { ... add to the inputs' grads from out.grad() ... });
///     return out;
///   }
///
/// A closure keeps its tensors alive; running it frees them, so that backward() gives activations
/// back to the pool as it goes.
class Tape {
 public:
  enum class Mode { kInference, kTraining };
  /// What a network keeps of its layers for the backward pass: all that their gradients need, or
  /// what went in, of which remade() makes the rest again.
  enum class Keep { kAll, kInputs };
  explicit Tape(Mode mode, Precision precision = Precision::kF32, Keep keep = Keep::kAll)
      : mode_(mode), keep_(keep), precision_(precision) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  [[nodiscard]] bool recording() const { return mode_ == Mode::kTraining; }
  [[nodiscard]] bool keeps_inputs_only() const { return recording() && keep_ == Keep::kInputs; }
  [[nodiscard]] Precision precision() const { return precision_; }

  [[nodiscard]] Tensor output(std::vector<int64_t> shape) const;
  void record(std::function<void()> backward);

  /// Frees `value` until backward() comes to this point, which makes it again: less memory for a
  /// little time. To be called behind the last op of the forward pass that reads `value`; `make`
  /// must give the same numbers as before. Does nothing unless the tape records.
  void recompute(const Tensor& value, std::function<Tensor(Tape&)> make);

  /// What `make` makes, of which nothing else is kept: backward() runs it again on a tape of its
  /// own, and that one backwards. So it must give the same numbers as before, must hold on to all
  /// tensors whose gradients it adds to (see tensor/gradient_watch.h), and needs its inputs until
  /// then.
  [[nodiscard]] Tensor remade(std::function<Tensor(Tape&)> make);

  /// Runs the closures in reverse order and empties the tape. An op whose output got no gradient
  /// must do nothing (test with has_grad()). `between` is called after each closure, when it is
  /// gone and with it its tensors (see tensor/gradient_watch.h).
  void backward(const std::function<void()>& between = {});

 private:
  Mode mode_;
  Keep keep_;
  Precision precision_;
  std::vector<std::function<void()>> closures_;
};

}  // namespace evo::tensor
