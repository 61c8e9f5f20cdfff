// Checks of one op against its reference in double, on every SIMD target.
#pragma once

#include <cstring>
#include <string>
#include <utility>

#include "base/threads/parallel.h"
#include "ops/reference/elementwise_formula.h"
#include "ops/testing/testing.h"
#include "tensor/tape.h"

namespace evo::testing {

using ops::reference::Matrix;

/// Standard normal numbers that f32 holds exactly, so that op and reference see the same input.
inline Matrix random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix made(rows, cols);
  const std::vector<float> values = random_values(made.values.size(), seed);
  made.values.assign(values.begin(), values.end());
  return made;
}

/// Lengths around whole vectors of every target: tails of all kinds.
inline std::vector<int64_t> awkward_lengths() {
  return {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 67, 128, 130};
}

/// What the op does to its inputs, once for tensors and once in double. Loss = sum of output times
/// random weights, so that every output counts in every gradient.
class OpCheck {
 public:
  using Op = std::function<tensor::Tensor(tensor::Tape&, const std::vector<tensor::Tensor>&)>;
  using Reference = std::function<Matrix(const std::vector<Matrix>&)>;

  OpCheck(std::vector<Matrix> inputs, Op op, Reference reference)
      : inputs_(std::move(inputs)), op_(std::move(op)), reference_(std::move(reference)) {
    expected_ = reference_(inputs_).values;
    const std::vector<float> weights = random_values(expected_.size(), 4242);
    weights_.assign(weights.begin(), weights.end());
  }

  /// Output and gradients are within `roundings` * 2^-24 * (largest expected number) of the
  /// reference: `roundings` counts the operations on the longest path from input to output, the
  /// terms of its sums included (each rounds by at most 2^-24 of a number of that size).
  void expect_close_to_reference(int roundings) const {
    const std::vector<Sample> samples = sample_gradients();
    for_each_implementation([&] {
      const Run owned = run(Storage::kOwned);
      expect_output(owned, roundings);
      expect_gradients(owned, samples, 0.0, roundings);
      const Run views = run(Storage::kMisalignedViews);
      expect_output(views, roundings);
      expect_gradients(views, samples, kOldGradient, roundings);
      expect_detached_inputs_get_nothing(owned);
    });
  }

  /// Output and gradients have the same bits with 1, 2 and 3 threads.
  void expect_same_bits_for_any_threads() const {
    const int before = threads();
    set_threads(1);
    const Run one = run(Storage::kOwned);
    for (const int count : {2, 3}) {
      set_threads(count);
      const Run several = run(Storage::kOwned);
      EXPECT_TRUE(same_bits(one.output, several.output)) << count << " threads";
      for (size_t i = 0; i < inputs_.size(); ++i) {
        EXPECT_TRUE(same_bits(one.gradients[i], several.gradients[i]))
            << "gradient of input " << i << ", " << count << " threads";
      }
    }
    set_threads(before);
  }

 private:
  static constexpr float kOldGradient = 0.5f;
  enum class Storage { kOwned, kMisalignedViews };

  struct Run {
    std::vector<float> output;
    std::vector<std::vector<float>> gradients;  // empty for an input that has none
  };
  struct Sample {
    size_t input, element;
    double gradient;
  };

  static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }

  /// A view of `matrix` (and of a gradient full of kOldGradient) one to three floats off alignment.
  static tensor::Tensor misaligned(const Matrix& matrix, size_t offset, std::vector<float>& values,
                                   std::vector<float>& gradient) {
    values.assign(offset, 0.0f);
    values.insert(values.end(), matrix.values.begin(), matrix.values.end());
    gradient.assign(values.size(), kOldGradient);
    return tensor::Tensor::view(values.data() + offset, {matrix.rows, matrix.cols},
                                gradient.data() + offset);
  }

  static tensor::Tensor owned(const Matrix& matrix) {
    const tensor::Tensor made = tensor::Tensor::empty({matrix.rows, matrix.cols});
    std::copy(matrix.values.begin(), matrix.values.end(), made.f32());
    return made;
  }

  /// `detached`: index of an input that wants no gradient.
  [[nodiscard]] Run run(Storage storage, size_t detached = SIZE_MAX) const {
    std::vector<std::vector<float>> values(inputs_.size()), gradients(inputs_.size());
    std::vector<tensor::Tensor> tensors;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      tensors.push_back(storage == Storage::kOwned
                            ? owned(inputs_[i])
                            : misaligned(inputs_[i], i % 3 + 1, values[i], gradients[i]));
      tensors.back().set_wants_grad(i != detached);
    }
    tensor::Tape tape(tensor::Tape::Mode::kTraining);
    const tensor::Tensor out = op_(tape, tensors);
    Run result;
    result.output.assign(out.values().begin(), out.values().end());
    std::copy(weights_.begin(), weights_.end(), out.grad().f32());
    tape.backward();
    for (const tensor::Tensor& tensor : tensors) {
      result.gradients.emplace_back();
      if (!tensor.has_grad() || !tensor.wants_grad()) continue;
      const std::span<float> grad = tensor.grad().values();
      result.gradients.back().assign(grad.begin(), grad.end());
    }
    return result;
  }

  [[nodiscard]] double loss(const std::vector<Matrix>& inputs) const {
    const Matrix out = reference_(inputs);
    double total = 0;
    for (size_t i = 0; i < out.values.size(); ++i) total += weights_[i] * out.values[i];
    return total;
  }

  /// Central differences of the reference at the last element of each input and 23 random ones.
  [[nodiscard]] std::vector<Sample> sample_gradients() const {
    std::vector<Sample> samples;
    std::vector<Matrix> inputs = inputs_;
    Random random(4243);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const size_t count = inputs[i].values.size();
      for (size_t j = 0; j < std::min<size_t>(count, 24); ++j) {
        const size_t element = j == 0 ? count - 1 : random.below(count);
        double& x = inputs[i].values[element];
        samples.push_back({i, element, finite_difference([&] { return loss(inputs); }, x)});
      }
    }
    return samples;
  }

  static double largest(double at_least, std::span<const double> values) {
    for (const double value : values) at_least = std::max(at_least, std::abs(value));
    return at_least;
  }

  void expect_output(const Run& run, int roundings) const {
    expect_close(run.output, expected_, roundings * 0x1p-24 * largest(0, expected_), 0);
  }

  void expect_gradients(const Run& run, const std::vector<Sample>& samples, double already,
                        int roundings) const {
    std::vector<double> actual, expected;
    for (const Sample& sample : samples) {
      const std::vector<float>& gradient = run.gradients[sample.input];
      ASSERT_EQ(gradient.size(), inputs_[sample.input].values.size()) << "input " << sample.input;
      actual.push_back(gradient[sample.element]);
      expected.push_back(already + sample.gradient);
    }
    // A backward pass takes up to three times the operations of its forward pass; a difference
    // quotient with step 1e-5 of numbers of size 1 is good to 1e-9.
    const double size = largest(1, expected);
    expect_close(actual, expected, (3 * roundings * 0x1p-24 + 1e-9) * size, 0);
  }

  void expect_detached_inputs_get_nothing(const Run& all) const {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Run without = run(Storage::kOwned, i);
      for (size_t j = 0; j < inputs_.size(); ++j) {
        if (j == i) {
          EXPECT_TRUE(without.gradients[j].empty()) << "detached input " << i;
        } else {
          EXPECT_TRUE(same_bits(without.gradients[j], all.gradients[j]))
              << "gradient of input " << j << " when input " << i << " is detached";
        }
      }
    }
  }

  std::vector<Matrix> inputs_;
  Op op_;
  Reference reference_;
  std::vector<double> expected_;
  std::vector<double> weights_;
};

}  // namespace evo::testing
