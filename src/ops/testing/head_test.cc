#include "ops/head.h"

#include <cstring>
#include <limits>

#include "base/threads/parallel.h"
#include "ops/reference/head_formula.h"
#include "ops/reference/matmul_formula.h"
#include "ops/testing/testing.h"

namespace evo::ops {
namespace {

using CodeGradient = HeadLosses::CodeGradient;
using Input = reference::HeadInput<double>;
using testing::expect_close;
using testing::random_values;

constexpr int64_t kRowBegin = 2;  // rows of h before the first one used; one more comes after

tensor::Tensor to_tensor(const std::vector<double>& values, std::vector<int64_t> shape) {
  tensor::Tensor made = tensor::Tensor::empty(std::move(shape));
  std::copy(values.begin(), values.end(), made.f32());
  made.set_wants_grad(true);
  return made;
}

std::vector<double> doubles(size_t count, uint64_t seed, float scale) {
  const std::vector<float> values = random_values(count, seed, scale);
  return {values.begin(), values.end()};
}

/// A problem in double and the tensors of the op; the last row but one is ignored.
struct HeadProblem {
  HeadProblem(int64_t rows, int64_t vocabulary, int64_t width, int64_t code_size, double cap = 0) {
    const auto size = [](int64_t a, int64_t b) { return static_cast<size_t>(a * b); };
    in.rows = rows;
    in.vocabulary = vocabulary;
    in.width = width;
    in.code_size = code_size;
    in.cap = cap;
    in.h = doubles(size(rows, width), 1, 1.0f);
    in.unembed = doubles(size(vocabulary, width), 2, 1.0f / std::sqrt(static_cast<float>(width)));
    in.z = doubles(size(rows, code_size), 3, 1.0f);
    in.codes = doubles(size(vocabulary, code_size), 4, 1.0f);
    for (int64_t r = 0; r < rows; ++r) {
      in.kappa.push_back(static_cast<float>(0.1 + 0.3 * static_cast<double>(r % 5)));
      in.targets.push_back(static_cast<int32_t>((7 * r + 3) % vocabulary));
      const bool ignored = r == rows - 2;
      weights.push_back(ignored ? 0.0f : 0.5f + 0.25f * static_cast<float>(r % 3));
      squared_weights.push_back(ignored ? 0.0f : 0.125f * static_cast<float>(r % 4));
    }
    kappa.assign(in.kappa.begin(), in.kappa.end());
    make_tensors();
  }

  void make_tensors() {
    std::vector<double> all(static_cast<size_t>(kRowBegin * in.width), 9.0);
    all.insert(all.end(), in.h.begin(), in.h.end());
    all.insert(all.end(), static_cast<size_t>(in.width), 9.0);
    h = to_tensor(all, {kRowBegin + in.rows + 1, in.width});
    unembed = to_tensor(in.unembed, {in.vocabulary, in.width});
    term.z = to_tensor(in.z, {in.rows, in.code_size});
    term.codes = to_tensor(in.codes, {in.vocabulary, in.code_size});
    term.kappa = kappa;
  }

  [[nodiscard]] HeadLosses losses(CodeGradient code_gradient) const {
    return {in.targets, weights, code_gradient, squared_weights};
  }
  [[nodiscard]] const PosteriorTerm* posterior() const {
    return in.code_size > 0 ? &term : nullptr;
  }
  HeadResult run(tensor::Tape::Mode mode, const HeadLosses* with) const {
    tensor::Tape tape(mode);
    return head(tape, h, kRowBegin, in.rows, {{unembed, nullptr}, static_cast<float>(in.cap)},
                posterior(), with);
  }

  Input in;
  std::vector<float> kappa, weights, squared_weights;
  tensor::Tensor h, unembed;
  PosteriorTerm term;
};

/// How far a logit may be off: a sum of D + d products of which the absolute values add up to at
/// most about 4 (D + d) times their usual size of one over D, plus kappa z c of size up to ten
/// each.
double logit_rounding(const Input& in) {
  const double size =
      8 * std::sqrt(static_cast<double>(in.width)) + 1.3 * 9 * static_cast<double>(in.code_size);
  return static_cast<double>(in.width + in.code_size + 2) * 0x1p-24 * size;
}

void expect_statistics(const HeadProblem& problem, const HeadResult& got, bool with_losses) {
  const Input& in = problem.in;
  double loss = 0;
  std::vector<double> nll, log_pmax, entropy, squared, mean;
  std::vector<int32_t> argmax;
  for (int64_t r = 0; r < in.rows; ++r) {
    const auto row = reference::head_row(in, r);
    const float weight = problem.weights[r];
    const bool counts = with_losses && weight != 0;
    nll.push_back(counts ? row.nll : 0);
    squared.push_back(counts && in.code_size > 0 ? row.squared_error : 0);
    log_pmax.push_back(row.log_pmax);
    entropy.push_back(row.entropy);
    argmax.push_back(row.argmax);
    mean.insert(mean.end(), row.mean_code.begin(), row.mean_code.end());
    loss += counts ? weight * row.nll : 0;
  }
  // The softmax sums up to 1024 numbers at once in f32; x sums all of them, and |c - x|^2 moves by
  // 2 |c - x| < 8 sqrt(d) per unit.
  const double base = logit_rounding(in) + 1024 * 0x1p-24;
  const double code = 4 * (base + static_cast<double>(in.vocabulary) * 0x1p-24);
  expect_close(got.nll, nll, 2 * base, 0);
  expect_close(got.log_pmax, log_pmax, 2 * base, 0);
  expect_close(got.entropy, entropy, 2 * base, 2 * base);
  expect_close(got.squared_error, squared, 8 * std::sqrt(static_cast<double>(in.code_size)) * code,
               0x1p-20);
  expect_close(std::vector<double>{got.loss}, std::vector<double>{loss},
               2 * base * static_cast<double>(in.rows), 0);
  EXPECT_EQ(got.argmax, argmax);
  EXPECT_EQ(got.mean_code.defined(), in.code_size > 0);
  if (in.code_size > 0) expect_close(got.mean_code.values(), mean, code, 0);
}

TEST(Head, StatisticsAreCloseToReference) {
  for (const int64_t vocabulary : {2, 3, 17, 64, 129, 1500}) {
    for (const int64_t code_size : {0, 1, 16}) {
      SCOPED_TRACE(fmt::format("V {} d {}", vocabulary, code_size));
      const HeadProblem problem(7, vocabulary, 24, code_size);
      const HeadLosses losses = problem.losses(CodeGradient::kNone);
      testing::for_each_implementation([&] {
        expect_statistics(problem, problem.run(tensor::Tape::Mode::kInference, &losses), true);
        expect_statistics(problem, problem.run(tensor::Tape::Mode::kInference, nullptr), false);
      });
    }
  }
}

TEST(Head, ManyChunksAreCloseToReference) {
  // 512 rows is the largest chunk: two whole ones and a part.
  const HeadProblem problem(1024 + 37, 19, 8, 4);
  const HeadLosses losses = problem.losses(CodeGradient::kCrossEntropy);
  expect_statistics(problem, problem.run(tensor::Tape::Mode::kTraining, &losses), true);
}

// ---- gradients ----

double cross_entropy(const HeadProblem& problem, const Input& in) {
  double loss = 0;
  for (int64_t r = 0; r < in.rows; ++r) {
    const float weight = problem.weights[r];
    if (weight != 0) loss += weight * reference::head_row(in, r).nll;
  }
  return loss;
}

/// sum squared_weights |c(target) - x|^2, where only the codes move.
double squared_error(const HeadProblem& problem, const Input& in) {
  double loss = 0;
  for (int64_t r = 0; r < in.rows; ++r) {
    loss += problem.squared_weights[r] * reference::head_row(in, r).squared_error;
  }
  return loss;
}

/// Compares `count` random elements (all, if there are fewer) of a gradient with differences of
/// `loss` in `values`, a member of `in`.
void expect_gradient(std::span<const float> gradient, Input& in, std::vector<double>& values,
                     const std::function<double(const Input&)>& loss, const char* name) {
  SCOPED_TRACE(name);
  ASSERT_EQ(gradient.size(), values.size());
  Random random(11);
  std::vector<double> expected, actual;
  for (size_t i = 0; i < std::min<size_t>(values.size(), 60); ++i) {
    const size_t at = values.size() <= 60 ? i : random.below(values.size());
    expected.push_back(testing::finite_difference([&] { return loss(in); }, values[at]));
    actual.push_back(gradient[at]);
  }
  // Sums of rows x V f32 numbers, products of logits' roundings with numbers below 20 (kappa, z,
  // codes); differences with step 1e-5 are good to 1e-9 of the loss.
  const double allowed = 20 * static_cast<double>(in.rows) * (logit_rounding(in) + 2e-6);
  expect_close(actual, expected, allowed, 0);
}

std::span<const float> used_rows(const HeadProblem& problem) {
  return problem.h.grad().values().subspan(kRowBegin * problem.in.width, problem.in.h.size());
}

void check_gradients(HeadProblem problem, CodeGradient code_gradient) {
  const HeadLosses losses = problem.losses(code_gradient);
  problem.run(tensor::Tape::Mode::kTraining, &losses);
  Input in = problem.in;
  const auto ce = [&](const Input& moved) { return cross_entropy(problem, moved); };
  const auto se = [&](const Input& moved) { return squared_error(problem, moved); };
  expect_gradient(used_rows(problem), in, in.h, ce, "h");
  expect_gradient(problem.unembed.grad().values(), in, in.unembed, ce, "unembed");
  if (in.code_size == 0) return;
  expect_gradient(problem.term.z.grad().values(), in, in.z, ce, "z");
  if (code_gradient == CodeGradient::kNone) {
    EXPECT_FALSE(problem.term.codes.has_grad());
    return;
  }
  const std::span<const float> codes = problem.term.codes.grad().values();
  if (code_gradient == CodeGradient::kCrossEntropy) {
    expect_gradient(codes, in, in.codes, ce, "codes of the cross-entropy");
  } else {
    expect_gradient(codes, in, in.codes, se, "codes of the squared error");
  }
}

TEST(Head, GradientsAreCloseToDifferences) {
  for (const int64_t vocabulary : {2, 5, 37}) {
    for (const int64_t code_size : {0, 1, 7}) {
      for (const CodeGradient code_gradient :
           {CodeGradient::kNone, CodeGradient::kCrossEntropy, CodeGradient::kSquaredError}) {
        SCOPED_TRACE(fmt::format("V {} d {} codes {}", vocabulary, code_size,
                                 static_cast<int>(code_gradient)));
        testing::for_each_implementation(
            [&] { check_gradients(HeadProblem(6, vocabulary, 9, code_size), code_gradient); });
      }
    }
  }
}

/// A cap moves logits by less than plain ones are off, but for its own 2.9 ULP of numbers below it.
TEST(Head, CapsTheProductsAndNotThePosterior) {
  for (const int64_t vocabulary : {5, 129}) {
    for (const int64_t code_size : {0, 7}) {
      SCOPED_TRACE(fmt::format("V {} d {}", vocabulary, code_size));
      const HeadProblem problem(6, vocabulary, 9, code_size, 1.5);
      const HeadLosses losses = problem.losses(CodeGradient::kNone);
      testing::for_each_implementation([&] {
        expect_statistics(problem, problem.run(tensor::Tape::Mode::kInference, &losses), true);
        for (const CodeGradient code_gradient :
             {CodeGradient::kNone, CodeGradient::kCrossEntropy, CodeGradient::kSquaredError}) {
          check_gradients(HeadProblem(6, vocabulary, 9, code_size, 1.5), code_gradient);
        }
      });
    }
  }
}

TEST(Head, GradientsOfManyChunks) {
  for (const CodeGradient code_gradient :
       {CodeGradient::kCrossEntropy, CodeGradient::kSquaredError}) {
    check_gradients(HeadProblem(512 + 9, 5, 4, 3), code_gradient);
  }
}

TEST(Head, OtherRowsGetNoGradientAndTwoCallsAddUp) {
  const HeadProblem problem(5, 11, 6, 3);
  const HeadLosses losses = problem.losses(CodeGradient::kCrossEntropy);
  problem.run(tensor::Tape::Mode::kTraining, &losses);
  const auto snapshot = [](const tensor::Tensor& t) {
    return std::vector<float>(t.grad().values().begin(), t.grad().values().end());
  };
  const tensor::Tensor* tensors[] = {&problem.h, &problem.unembed, &problem.term.z,
                                     &problem.term.codes};
  std::vector<std::vector<float>> once;
  for (const tensor::Tensor* tensor : tensors) once.push_back(snapshot(*tensor));
  problem.run(tensor::Tape::Mode::kTraining, &losses);
  for (size_t i = 0; i < once.size(); ++i) {
    std::vector<double> twice;
    double largest = 0;
    for (const float value : once[i]) {
      twice.push_back(2.0 * value);
      largest = std::max<double>(largest, std::abs(value));
    }
    ASSERT_GT(largest, 1e-3);
    // Each of the six rows' contributions may round differently on top of another value.
    expect_close(snapshot(*tensors[i]), twice, 12 * 0x1p-24 * 4 * largest, 0);
  }
  const int64_t width = problem.in.width, begin = kRowBegin * width,
                end = begin + problem.in.rows * width;
  for (int64_t i = 0; i < problem.h.numel(); ++i) {
    if (i < begin || i >= end) {
      EXPECT_EQ(problem.h.grad().f32()[i], 0.0f);
    }
  }
}

TEST(Head, DetachedInputsAndInferenceGetNoGradient) {
  HeadProblem problem(4, 9, 5, 3);
  const HeadLosses losses = problem.losses(CodeGradient::kSquaredError);
  problem.run(tensor::Tape::Mode::kInference, &losses);
  for (const tensor::Tensor& tensor :
       {problem.h, problem.unembed, problem.term.z, problem.term.codes}) {
    EXPECT_FALSE(tensor.has_grad());
  }
  problem.h.set_wants_grad(false);
  problem.unembed.set_wants_grad(false);
  problem.term.z.set_wants_grad(false);
  problem.run(tensor::Tape::Mode::kTraining, &losses);
  for (const tensor::Tensor& tensor : {problem.h, problem.unembed, problem.term.z}) {
    EXPECT_FALSE(tensor.has_grad());
  }
  EXPECT_TRUE(problem.term.codes.has_grad());
}

// ---- numerics ----

/// Everything a call gives, as one list of bits.
std::vector<float> everything(HeadProblem problem, CodeGradient code_gradient) {
  const HeadLosses losses = problem.losses(code_gradient);
  const HeadResult result = problem.run(tensor::Tape::Mode::kTraining, &losses);
  std::vector<float> all{static_cast<float>(result.loss)};
  for (const auto* list : {&result.nll, &result.log_pmax, &result.entropy, &result.squared_error}) {
    all.insert(all.end(), list->begin(), list->end());
  }
  for (const tensor::Tensor& tensor : {result.mean_code, problem.h.grad(), problem.unembed.grad(),
                                       problem.term.z.grad(), problem.term.codes.grad()}) {
    all.insert(all.end(), tensor.values().begin(), tensor.values().end());
  }
  return all;
}

TEST(Head, SameBitsForAnyThreads) {
  const int before = threads();
  for (const CodeGradient code_gradient :
       {CodeGradient::kCrossEntropy, CodeGradient::kSquaredError}) {
    set_threads(1);
    const std::vector<float> one = everything(HeadProblem(150, 1000, 64, 16), code_gradient);
    for (const int count : {2, 3}) {
      set_threads(count);
      const std::vector<float> several = everything(HeadProblem(150, 1000, 64, 16), code_gradient);
      ASSERT_EQ(one.size(), several.size());
      EXPECT_EQ(std::memcmp(one.data(), several.data(), one.size() * sizeof(float)), 0)
          << count << " threads";
    }
  }
  set_threads(before);
}

TEST(Head, HugeKappaDecidesExactly) {
  HeadProblem problem(3, 200, 16, 8);
  std::fill(problem.kappa.begin(), problem.kappa.end(), 1e4f);
  std::fill(problem.weights.begin(), problem.weights.end(), 1.0f);
  for (int64_t r = 0; r < 3; ++r) {  // z points along the target's code; the three are orthogonal
    for (int64_t j = 0; j < 8; ++j) {
      float& code = problem.term.codes.row(problem.in.targets[r])[j];
      code = (j >> r) % 2 == 0 ? 4.0f : -4.0f;
      problem.term.z.row(r)[j] = code;
    }
  }
  const HeadLosses losses = problem.losses(CodeGradient::kSquaredError);
  const HeadResult result = problem.run(tensor::Tape::Mode::kTraining, &losses);
  for (size_t r = 0; r < 3; ++r) {
    EXPECT_EQ(result.argmax[r], problem.in.targets[r]);
    EXPECT_EQ(result.nll[r], 0.0f);
    EXPECT_EQ(result.log_pmax[r], 0.0f);
    EXPECT_EQ(result.entropy[r], 0.0f);
    EXPECT_EQ(result.squared_error[r], 0.0f);
  }
  for (const tensor::Tensor& tensor :
       {problem.h, problem.unembed, problem.term.z, problem.term.codes}) {
    expect_close(tensor.grad().values(), std::vector<float>(tensor.values().size()), 0, 0);
  }
}

TEST(Head, NaNIsNotHiddenUnlessItsRowIsIgnored) {
  HeadProblem problem(4, 50, 6, 3);
  problem.h.row(kRowBegin + 1)[2] = std::numeric_limits<float>::quiet_NaN();
  HeadLosses losses = problem.losses(CodeGradient::kNone);
  const HeadResult result = problem.run(tensor::Tape::Mode::kInference, &losses);
  EXPECT_TRUE(std::isnan(result.loss));
  for (const auto& list : {result.nll, result.log_pmax, result.entropy}) {
    EXPECT_TRUE(std::isnan(list[1]));
    EXPECT_FALSE(std::isnan(list[0]));
  }
  problem.weights[1] = problem.squared_weights[1] = 0;
  losses = problem.losses(CodeGradient::kNone);
  const HeadResult without = problem.run(tensor::Tape::Mode::kTraining, &losses);
  EXPECT_TRUE(std::isfinite(without.loss));
  for (int64_t i = 0; i < problem.term.z.numel(); ++i) {
    EXPECT_TRUE(std::isfinite(problem.term.z.grad().f32()[i]));
  }
}

TEST(Head, NoRows) {
  const HeadProblem problem(0, 9, 4, 2);
  const HeadLosses losses = problem.losses(CodeGradient::kSquaredError);
  const HeadResult result = problem.run(tensor::Tape::Mode::kTraining, &losses);
  EXPECT_EQ(result.loss, 0.0);
  EXPECT_TRUE(result.nll.empty());
  EXPECT_EQ(result.mean_code.shape(), (std::vector<int64_t>{0, 2}));
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  EXPECT_EQ(
      head_logits(tape, problem.h, 1, 0, Weight{problem.unembed, nullptr}, &problem.term).shape(),
      (std::vector<int64_t>{0, 9}));
}

// ---- decoding ----

TEST(HeadLogits, AreCloseToReferenceAndUseThePackedWeight) {
  const HeadProblem problem(5, 70, 24, 6);
  const Weight plain{problem.unembed, nullptr};
  const Weight packed{tensor::Tensor(),
                      pack_weight(problem.unembed.f32(), 70, 24, tensor::Precision::kF32)};
  std::vector<double> expected;
  for (int64_t r = 0; r < 5; ++r) {
    const auto row = reference::head_row(problem.in, r);
    expected.insert(expected.end(), row.logits.begin(), row.logits.end());
  }
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  for (const Weight& weight : {plain, packed}) {
    const tensor::Tensor logits = head_logits(tape, problem.h, kRowBegin, 5, weight, &problem.term);
    EXPECT_EQ(logits.shape(), (std::vector<int64_t>{5, 70}));
    expect_close(logits.values(), expected, logit_rounding(problem.in), 0);
    const HeadResult result =
        head(tape, problem.h, kRowBegin, 5, weight, problem.posterior(), nullptr);
    expect_statistics(problem, result, false);
  }
}

TEST(HeadLogits, RowsKeepTheirBitsInAnyCompany) {
  const HeadProblem problem(33, 300, 48, 16);
  const Weight packed{tensor::Tensor(),
                      pack_weight(problem.unembed.f32(), 300, 48, tensor::Precision::kF32)};
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor all = head_logits(tape, problem.h, kRowBegin, 33, packed, nullptr);
  for (const int64_t rows : {1, 2, 3, 8, 17}) {
    const tensor::Tensor some = head_logits(tape, problem.h, kRowBegin + 4, rows, packed, nullptr);
    EXPECT_EQ(std::memcmp(some.f32(), all.row(4), static_cast<size_t>(rows * 300) * 4), 0) << rows;
  }
}

}  // namespace
}  // namespace evo::ops
