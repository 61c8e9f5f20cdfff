#include "ops/feed_forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float_formats.h"
#include "base/threads/parallel.h"
#include "ops/machine.h"
#include "ops/reference/elementwise_formula.h"
#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

using reference::Matrix;

struct FeedForwardSizes {
  int64_t rows, width, hidden, out;
};

/// A matrix of bf16 numbers as a view off alignment, with a gradient that is not zero.
struct TrainedArray {
  TrainedArray(int64_t rows, int64_t cols, uint64_t seed, bool wants_grad = true)
      : values(testing::random_values(static_cast<size_t>(rows * cols) + 1, seed)),
        gradient(values.size(), kOldGradient),
        exact(rows, cols) {
    for (float& value : values) value = from_bf16(to_bf16(value));
    std::copy(values.begin() + 1, values.end(), exact.values.begin());
    view = tensor::Tensor::view(values.data() + 1, {rows, cols}, gradient.data() + 1);
    view.set_wants_grad(wants_grad);
  }
  static constexpr float kOldGradient = 0.5f;
  std::vector<float> values, gradient;
  Matrix exact;
  tensor::Tensor view;
};

/// Inputs and what the operation makes of them.
struct FeedForwardRun {
  explicit FeedForwardRun(const FeedForwardSizes& n, std::array<bool, 3> wants = {true, true, true})
      : x(n.rows, n.width, 1, wants[0]),
        gate_up(2 * n.hidden, n.width, 2, wants[1]),
        down(n.out, n.hidden, 3, wants[2]),
        dy(n.rows, n.out, 4) {
    tensor::Tape tape(tensor::Tape::Mode::kTraining, tensor::Precision::kBF16);
    y = fused_feed_forward(tape, x.view, {gate_up.view, nullptr}, {down.view, nullptr},
                           Activation::kSilu);
    if (!y.defined()) return;
    if (!y.wants_grad()) return;
    std::ranges::copy(dy.view.values(), y.grad().f32());
    tape.backward();
  }
  TrainedArray x, gate_up, down, dy;
  tensor::Tensor y;
};

bool fuses() {
  return isa() == Isa::kAmx;
}

/// Numbers and bounds of their error, in double.
struct BoundedMatrix {
  BoundedMatrix(int64_t rows, int64_t cols) : value(rows, cols), size(rows, cols) {}
  void add(int64_t r, int64_t c, double term, double magnitude) {
    value.at(r, c) += term;
    size.at(r, c) += magnitude;
  }
  Matrix value, size;
};

/// `size` sums what terms would be if f(g) were |g| and f'(g) were 1, its bounds to 10%. A term is
/// off by at most 2^-9 of that for each of three numbers rounded to bf16 (gate, up and the product
/// of the activation or its gradient), by as much for how f or f' changes with the gate, and f32
/// adds less than that for 2,000 terms: 2^-7 in all.
constexpr double kRounding = 0x1p-7;

struct ExpectedFeedForward {
  explicit ExpectedFeedForward(const FeedForwardRun& run)
      : y(run.x.exact.rows, run.down.exact.rows),
        dx(run.x.exact.rows, run.x.exact.cols),
        dgate_up(run.gate_up.exact.rows, run.gate_up.exact.cols),
        ddown(run.down.exact.rows, run.down.exact.cols) {
    const int64_t hidden = run.down.exact.cols;
    for (int64_t r = 0; r < run.x.exact.rows; ++r) {
      for (int64_t h = 0; h < hidden; ++h) add(run, r, h);
    }
  }

  void add(const FeedForwardRun& run, int64_t r, int64_t h) {
    const Matrix &x = run.x.exact, &w = run.gate_up.exact, &down = run.down.exact,
                 &dy = run.dy.exact;
    const int64_t hidden = down.cols;
    double gate = 0, up = 0, dactive = 0;
    for (int64_t i = 0; i < x.cols; ++i) {
      gate += x.at(r, i) * w.at(h, i);
      up += x.at(r, i) * w.at(hidden + h, i);
    }
    for (int64_t o = 0; o < down.rows; ++o) dactive += dy.at(r, o) * down.at(o, h);
    const double s = 1 / (1 + std::exp(-gate));
    const double f = gate * s, slope = s * (1 + gate * (1 - s));
    const double dgate = dactive * up * slope, dup = dactive * f;
    const double dgate_size = std::abs(dactive * up), dup_size = std::abs(dactive * gate);
    for (int64_t o = 0; o < down.rows; ++o) {
      y.add(r, o, f * up * down.at(o, h), std::abs(gate * up * down.at(o, h)));
      ddown.add(o, h, dy.at(r, o) * f * up, std::abs(dy.at(r, o) * gate * up));
    }
    for (int64_t i = 0; i < x.cols; ++i) {
      dx.add(r, i, dgate * w.at(h, i) + dup * w.at(hidden + h, i),
             dgate_size * std::abs(w.at(h, i)) + dup_size * std::abs(w.at(hidden + h, i)));
      dgate_up.add(h, i, dgate * x.at(r, i), dgate_size * std::abs(x.at(r, i)));
      dgate_up.add(hidden + h, i, dup * x.at(r, i), dup_size * std::abs(x.at(r, i)));
    }
  }

  BoundedMatrix y, dx, dgate_up, ddown;
};

void expect_within(const char* what, std::span<const float> actual, const BoundedMatrix& expected,
                   double already) {
  ASSERT_EQ(actual.size(), expected.value.values.size()) << what;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double wanted = already + expected.value.values[i];
    const double allowed = kRounding * (expected.size.values[i] + std::abs(already));
    ASSERT_TRUE(std::abs(actual[i] - wanted) <= allowed)
        << what << " " << i << ": got " << actual[i] << ", expected " << wanted << " +- "
        << allowed;
  }
}

TEST(FusedFeedForward, IsCloseToFormula) {
  if (!fuses()) GTEST_SKIP() << "a CPU with AMX computes it";
  for (const FeedForwardSizes& n :
       {FeedForwardSizes{1, 1, 1, 1}, FeedForwardSizes{37, 33, 40, 17},
        FeedForwardSizes{130, 70, 300, 45}, FeedForwardSizes{1100, 20, 33, 40},
        FeedForwardSizes{33, 1060, 40, 1050}}) {
    SCOPED_TRACE(fmt::format("{} rows, {} -> {} -> {}", n.rows, n.width, n.hidden, n.out));
    const FeedForwardRun run(n);
    const ExpectedFeedForward expected(run);
    expect_within("y", run.y.values(), expected.y, 0);
    expect_within("dx", run.x.view.grad().values(), expected.dx, TrainedArray::kOldGradient);
    expect_within("dgate_up", run.gate_up.view.grad().values(), expected.dgate_up,
                  TrainedArray::kOldGradient);
    expect_within("ddown", run.down.view.grad().values(), expected.ddown,
                  TrainedArray::kOldGradient);
  }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(FusedFeedForward, SameBitsForAnyThreadsAndWhateverIsFrozen) {
  if (!fuses()) GTEST_SKIP() << "a CPU with AMX computes it";
  const FeedForwardSizes n = {700, 64, 300, 96};
  const int before = threads();
  set_threads(1);
  const FeedForwardRun one(n);
  for (const int count : {2, 3, 7}) {
    set_threads(count);
    for (int frozen = -1; frozen < 3; ++frozen) {
      const FeedForwardRun other(n, {frozen != 0, frozen != 1, frozen != 2});
      const auto gradient_or_old = [&](const TrainedArray& array, int index) {
        return frozen == index
                   ? std::vector<float>(array.gradient.size(), TrainedArray::kOldGradient)
                   : array.gradient;
      };
      EXPECT_TRUE(std::ranges::equal(other.y.values(), one.y.values()));
      EXPECT_TRUE(same_bits(other.x.gradient, gradient_or_old(one.x, 0)));
      EXPECT_TRUE(same_bits(other.gate_up.gradient, gradient_or_old(one.gate_up, 1)));
      EXPECT_TRUE(same_bits(other.down.gradient, gradient_or_old(one.down, 2)));
    }
  }
  set_threads(before);
}

TEST(FusedFeedForward, LeavesOtherTapesToItsParts) {
  const TrainedArray x(2, 8, 1), gate_up(12, 8, 2), down(3, 6, 3);
  tensor::Tape inference(tensor::Tape::Mode::kInference, tensor::Precision::kBF16);
  tensor::Tape f32(tensor::Tape::Mode::kTraining);
  for (tensor::Tape* tape : {&inference, &f32}) {
    EXPECT_FALSE(fused_feed_forward(*tape, x.view, {gate_up.view, nullptr}, {down.view, nullptr},
                                    Activation::kSilu)
                     .defined());
  }
}

}  // namespace
}  // namespace evo::ops
