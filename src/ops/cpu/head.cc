#include "ops/head.h"

#include "ops/cpu/cpu.h"
#include "ops/cpu/matmul/matmul.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/threads/parallel.h"
#include "ops/softmax.h"

namespace evo::ops::cpu {
namespace {

/// Rows whose logits are in flight at once: few enough that they stay in the last cache, and enough
/// that reading U and its gradient (once per chunk) costs little beside the products. Those in
/// tiles are so fast that it takes more rows. Of f32 the number decides about last bits.
int64_t chunk_rows(int64_t vocabulary, bool in_tiles) {
  const int64_t bytes = int64_t{in_tiles ? 128 : 32} << 20;
  const int64_t rows = std::clamp<int64_t>(bytes / (4 * vocabulary), 64, 512);
  return in_tiles ? rows / 32 * 32 : rows;
}

/// The rows, the matrices and the products that make logits of them.
/// Shapes: n rows, D hidden size, V vocabulary, d code size.
struct Scores {
  Scores(const tensor::Tape& tape, const tensor::Tensor& hidden, int64_t first, int64_t count,
         const Unembedding& weight, const PosteriorTerm* posterior)
      : h(hidden),
        row_begin(first),
        rows(count),
        unembed(weight.value),
        packed(tape.recording() ? nullptr : weight.packed.get()),
        term(posterior),
        precision(tape.precision()),
        cap(weight.cap) {
    vocabulary = packed ? packed->out() : unembed.rows();
    width = packed ? packed->in() : unembed.cols();
    EVO_CHECK(row_begin >= 0 && rows >= 0 && row_begin + rows <= h.rows());
    EVO_CHECK(h.rows() == 0 || h.cols() == width);
    if (packed == nullptr) {
      unembed_operand.emplace(ops::matrix(unembed.f32(), vocabulary, width), precision);
    }
    if (term == nullptr) return;
    code_size = term->codes.cols();
    EVO_CHECK(term->codes.rows() == vocabulary);
    EVO_CHECK(term->z.numel() == rows * code_size);
    EVO_CHECK(static_cast<int64_t>(term->kappa.size()) == rows);
  }

  [[nodiscard]] MatrixView hidden_rows(int64_t begin, int64_t count) const {
    return ops::matrix(h.row(row_begin + begin), count, width);
  }
  [[nodiscard]] MatrixView codes() const {
    return ops::matrix(term->codes.f32(), vocabulary, code_size);
  }
  [[nodiscard]] bool in_tiles() const { return unembed_operand && unembed_operand->in_tiles(); }
  [[nodiscard]] float kappa(int64_t row) const { return term->kappa[row]; }

  /// scaled_z [count, d] = kappa z; unused without term.
  void scale_z(int64_t begin, int64_t count, float* scaled_z) const {
    for (int64_t r = 0; r < count; ++r) {
      const float* z = term->z.f32() + (begin + r) * code_size;
      for (int64_t j = 0; j < code_size; ++j) scaled_z[r * code_size + j] = kappa(begin + r) * z[j];
    }
  }

  /// Floats from a row of logits to the next. Rows a power of two apart fall into the same few sets
  /// of the cache, and products that read a column of them run at half speed: one line more helps.
  [[nodiscard]] int64_t logit_stride() const {
    constexpr int64_t kLine = 16, kAliasing = 512;
    return packed == nullptr && vocabulary % kAliasing == 0 ? vocabulary + kLine : vocabulary;
  }

  /// Caps logits [count, V]; cap_slopes, if given, gets the slopes of that.
  void cap_logits(int64_t count, float* logits, float* cap_slopes, int64_t stride) const {
    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        cap_row(logits + r * stride, vocabulary, cap,
                cap_slopes != nullptr ? cap_slopes + r * stride : nullptr);
      }
    });
  }

  /// out [count, V] = h U^T, capped, + scaled_z codes^T, rows `stride` apart. The posterior term is
  /// always f32: kappa goes up to 1e4 and would turn the rounding of bf16 into whole nats.
  void logits(int64_t begin, int64_t count, const float* scaled_z, float* out, int64_t stride,
              float* cap_slopes = nullptr) const {
    const MatrixView hidden = hidden_rows(begin, count);
    if (packed != nullptr) {
      EVO_CHECK(stride == vocabulary);
      packed->multiply(hidden.data, count, out);
    } else {
      ops::matmul({hidden, precision}, unembed_operand->transposed(), out, stride, false);
    }
    if (cap > 0) cap_logits(count, out, cap_slopes, stride);
    if (term == nullptr) return;
    ops::matmul(ops::matrix(scaled_z, count, code_size), codes().transposed(), out, stride, true,
                tensor::Precision::kF32);
  }

  const tensor::Tensor& h;
  int64_t row_begin, rows;
  const tensor::Tensor& unembed;
  const PackedWeight* packed;                    // null: multiply by `unembed`
  std::optional<MatmulOperand> unembed_operand;  // [V, D], unless packed
  const PosteriorTerm* term;                     // null: no posterior
  tensor::Precision precision;
  float cap;  // 0: none
  int64_t vocabulary = 0, width = 0, code_size = 0;
};

/// One call of head(), a chunk of rows at a time. Indices r count from the chunk's first row,
/// `begin_ + r` from the call's.
class HeadPass {
 public:
  HeadPass(const tensor::Tape& tape, const Scores& scores, const HeadLosses* losses)
      : scores_(scores), losses_(losses), gradients_(tape.recording() && losses != nullptr) {
    const auto n = static_cast<size_t>(scores.rows);
    if (losses != nullptr) {
      EVO_CHECK(losses->targets.size() == n && losses->weights.size() == n);
      EVO_CHECK(losses->squared_weights.empty() || losses->squared_weights.size() == n);
    }
    code_gradient_ = gradients_ && scores.term != nullptr && scores.term->codes.wants_grad()
                         ? losses->code_gradient
                         : CodeGradient::kNone;
    allocate(std::min(chunk_rows(scores.vocabulary, scores.in_tiles()), scores.rows));
  }

  HeadResult run() {
    for (begin_ = 0; begin_ < scores_.rows; begin_ += count_) {
      count_ = std::min(chunk_, scores_.rows - begin_);
      compute_probabilities();
      collect_statistics();
      if (scores_.term != nullptr) compute_mean_codes();
      if (!gradients_) continue;
      if (code_gradient_ == CodeGradient::kSquaredError) add_squared_error_gradient();
      add_cross_entropy_gradient();
    }
    return std::move(result_);
  }

 private:
  using CodeGradient = HeadLosses::CodeGradient;

  void allocate(int64_t chunk) {
    chunk_ = chunk;
    const auto n = static_cast<size_t>(scores_.rows);
    for (auto* list : {&result_.nll, &result_.log_pmax, &result_.entropy, &result_.squared_error}) {
      list->resize(n);
    }
    result_.argmax.resize(n);
    exponentials_ = tensor::Tensor::empty({chunk, scores_.logit_stride()});
    if (code_gradient_ == CodeGradient::kSquaredError) {
      dlogits_ = tensor::Tensor::empty({chunk, scores_.logit_stride()});
    }
    if (gradients_ && scores_.cap > 0) {
      cap_slopes_ = tensor::Tensor::empty({chunk, scores_.logit_stride()});
    }
    if (scores_.term != nullptr) {
      scaled_z_ = tensor::Tensor::empty({chunk, scores_.code_size});
      result_.mean_code = tensor::Tensor::empty({scores_.rows, scores_.code_size});
    }
    softmax_.resize(chunk);
    target_logit_.resize(chunk);
  }

  [[nodiscard]] size_t row(int64_t r) const { return static_cast<size_t>(begin_ + r); }
  [[nodiscard]] float weight(int64_t r) const { return losses_->weights[row(r)]; }
  [[nodiscard]] float squared_weight(int64_t r) const {
    return losses_->squared_weights.empty() ? 0.0f : losses_->squared_weights[row(r)];
  }
  [[nodiscard]] bool has_target(int64_t r) const {
    return losses_ != nullptr && (weight(r) != 0.0f || squared_weight(r) != 0.0f);
  }
  [[nodiscard]] int64_t target(int64_t r) const {
    const int64_t id = losses_->targets[row(r)];
    EVO_CHECK(id >= 0 && id < scores_.vocabulary);
    return id;
  }
  [[nodiscard]] const float* target_code(int64_t r) const {
    return scores_.term->codes.row(target(r));
  }
  [[nodiscard]] double sum(int64_t r) const { return softmax_[r].sum; }
  [[nodiscard]] MatrixView logit_rows(const tensor::Tensor& rows) const {
    return {rows.f32(), count_, scores_.vocabulary, scores_.logit_stride(), 1};
  }
  [[nodiscard]] MatrixView exponentials() const { return logit_rows(exponentials_); }
  [[nodiscard]] MatrixView scaled_z() const {
    return ops::matrix(scaled_z_.f32(), count_, scores_.code_size);
  }

  /// fn(r) for the rows of the chunk, shared out to threads.
  template <class Fn>
  void each_row(const Fn& fn) const {
    parallel_for(count_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) fn(r);
    });
  }

  void compute_probabilities() {
    if (scores_.term != nullptr) scores_.scale_z(begin_, count_, scaled_z_.f32());
    scores_.logits(begin_, count_, scaled_z_.defined() ? scaled_z_.f32() : nullptr,
                   exponentials_.f32(), scores_.logit_stride(),
                   cap_slopes_.defined() ? cap_slopes_.f32() : nullptr);
    each_row([&](int64_t r) {
      const auto i = static_cast<size_t>(r);
      if (has_target(r)) target_logit_[i] = exponentials_.row(r)[target(r)];
      softmax_[i] = ops::softmax_row(exponentials_.row(r), scores_.vocabulary);
      // While the row is in the cache, if nobody else reads what is there.
      if (gradients_ && scores_.term == nullptr) make_gradient_row(r);
    });
  }

  /// Exponentials become dlogit_v = weight (p_v - [v = target]).
  void make_gradient_row(int64_t r) {
    float* dlogits = exponentials_.row(r);
    const float w = weight(r);
    if (w == 0.0f) {
      std::fill_n(dlogits, scores_.vocabulary, 0.0f);
    } else {
      ops::scale_row(dlogits, scores_.vocabulary, static_cast<float>(w / sum(r)));
      dlogits[target(r)] -= w;
    }
  }

  void collect_statistics() {
    for (int64_t r = 0; r < count_; ++r) {
      const SoftmaxRow& softmax = softmax_[r];
      const double log_sum = std::log(softmax.sum);
      result_.log_pmax[row(r)] = static_cast<float>(-log_sum);
      result_.entropy[row(r)] = static_cast<float>(softmax.entropy());
      result_.argmax[row(r)] = softmax.argmax;
      if (!has_target(r)) continue;
      const double below = static_cast<double>(target_logit_[r]) - softmax.max;
      const double nll = log_sum - below;
      result_.nll[row(r)] = static_cast<float>(nll);
      if (weight(r) != 0.0f) result_.loss += weight(r) * nll;
    }
  }

  /// x = sum_v p_v c(v) and, where there is a target, |c(target) - x|^2.
  void compute_mean_codes() {
    const int64_t d = scores_.code_size;
    float* first = result_.mean_code.row(begin_);
    ops::matmul(exponentials(), scores_.codes(), first, d, false, tensor::Precision::kF32);
    for (int64_t r = 0; r < count_; ++r) {
      float* x = first + r * d;
      ops::scale_row(x, d, static_cast<float>(1.0 / sum(r)));
      if (!has_target(r)) continue;
      double square = 0;
      for (int64_t j = 0; j < d; ++j) {
        const double difference = static_cast<double>(target_code(r)[j]) - x[j];
        square += difference * difference;
      }
      result_.squared_error[row(r)] = static_cast<float>(square);
    }
  }

  void add_squared_error_gradient();
  void add_hidden_gradients();
  void add_cross_entropy_gradient();
  void add_z_gradient();

  const Scores& scores_;
  const HeadLosses* losses_;
  bool gradients_;
  CodeGradient code_gradient_ = CodeGradient::kNone;
  int64_t chunk_ = 0, begin_ = 0, count_ = 0;
  // Rows of [chunk, V] are logit_stride() apart.
  tensor::Tensor exponentials_;      // logits, e^(l - m), then d loss / d logits
  tensor::Tensor dlogits_;           // of the squared error
  tensor::Tensor cap_slopes_;        // of capped over plain logits; undefined without a cap
  tensor::Tensor scaled_z_;          // [chunk, d] kappa z
  std::vector<SoftmaxRow> softmax_;  // [chunk]
  std::vector<float> target_logit_;  // [chunk]
  HeadResult result_;
};

/// L = q |c_t - x|^2 with x = sum_v p_v c_v. With g = dL/dx = -2 q (c_t - x):
///   dc_t -= g;   dc_v += p_v g;   dlogit_v = p_v (g . c_v - g . x);   dc_v += dlogit_v kappa z.
void HeadPass::add_squared_error_gradient() {
  const int64_t d = scores_.code_size, vocabulary = scores_.vocabulary;
  const tensor::Tensor codes_grad = scores_.term->codes.grad();
  const tensor::Tensor g = tensor::Tensor::zeros({count_, d}),
                       g_over_sum = tensor::Tensor::zeros({count_, d});
  std::vector<float> mean(static_cast<size_t>(count_));  // g . x
  for (int64_t r = 0; r < count_; ++r) {
    const float q = squared_weight(r);
    if (q == 0.0f) continue;
    const float* x = result_.mean_code.row(begin_ + r);
    float* target_grad = codes_grad.row(target(r));
    double dot = 0;
    for (int64_t j = 0; j < d; ++j) {
      const float slope = -2.0f * q * (target_code(r)[j] - x[j]);
      g.row(r)[j] = slope;
      g_over_sum.row(r)[j] = static_cast<float>(slope / sum(r));
      target_grad[j] -= slope;
      dot += static_cast<double>(slope) * x[j];
    }
    mean[r] = static_cast<float>(dot);
  }
  ops::matmul(exponentials().transposed(), ops::matrix(g_over_sum.f32(), count_, d),
              codes_grad.f32(), d, true, tensor::Precision::kF32);
  ops::matmul(ops::matrix(g.f32(), count_, d), scores_.codes().transposed(), dlogits_.f32(),
              scores_.logit_stride(), false, tensor::Precision::kF32);
  each_row([&](int64_t r) {
    ops::softmax_gradient_row(exponentials_.row(r), static_cast<float>(1.0 / sum(r)), mean[r],
                              dlogits_.row(r), vocabulary);
  });
  ops::matmul(logit_rows(dlogits_).transposed(), scaled_z(), codes_grad.f32(), d, true,
              tensor::Precision::kF32);
}

/// dh += dlogits U, dU += dlogits^T h; what is capped has its slope in dlogits, which nobody needs
/// afterwards.
void HeadPass::add_hidden_gradients() {
  const int64_t width = scores_.width;
  if (cap_slopes_.defined()) {
    each_row([&](int64_t r) {
      float* const dlogits = exponentials_.row(r);
      for (int64_t v = 0; v < scores_.vocabulary; ++v) dlogits[v] *= cap_slopes_.row(r)[v];
    });
  }
  const MatmulOperand dlogits(exponentials(), scores_.precision);
  if (scores_.h.wants_grad()) {
    ops::matmul(dlogits, *scores_.unembed_operand, scores_.h.grad().row(scores_.row_begin + begin_),
                width, true);
  }
  if (scores_.unembed.wants_grad()) {
    ops::matmul(dlogits.transposed(), {scores_.hidden_rows(begin_, count_), scores_.precision},
                scores_.unembed.grad().f32(), width, true);
  }
}

/// From dlogits through U h + kappa z . c(v).
void HeadPass::add_cross_entropy_gradient() {
  if (scores_.term != nullptr) each_row([&](int64_t r) { make_gradient_row(r); });
  if (scores_.term != nullptr && scores_.term->z.wants_grad()) add_z_gradient();
  if (code_gradient_ == CodeGradient::kCrossEntropy) {
    ops::matmul(exponentials().transposed(), scaled_z(), scores_.term->codes.grad().f32(),
                scores_.code_size, true, tensor::Precision::kF32);
  }
  if (scores_.h.wants_grad() || scores_.unembed.wants_grad()) add_hidden_gradients();
}

/// dz += kappa dlogits codes.
void HeadPass::add_z_gradient() {
  const int64_t d = scores_.code_size;
  const tensor::Tensor pulled = tensor::Tensor::empty({count_, d});
  ops::matmul(exponentials(), scores_.codes(), pulled.f32(), d, false, tensor::Precision::kF32);
  float* z_grad = scores_.term->z.grad().f32() + begin_ * d;
  for (int64_t r = 0; r < count_; ++r) {
    const float kappa = scores_.kappa(begin_ + r);
    for (int64_t j = 0; j < d; ++j) z_grad[r * d + j] += kappa * pulled.row(r)[j];
  }
}

}  // namespace

HeadResult head(tensor::Tape& tape, const tensor::Tensor& h, int64_t row_begin, int64_t rows,
                const Unembedding& unembed, const PosteriorTerm* term, const HeadLosses* losses) {
  const Scores scores(tape, h, row_begin, rows, unembed, term);
  return HeadPass(tape, scores, losses).run();
}

tensor::Tensor head_logits(tensor::Tape& tape, const tensor::Tensor& h, int64_t row_begin,
                           int64_t rows, const Unembedding& unembed, const PosteriorTerm* term) {
  const Scores scores(tape, h, row_begin, rows, unembed, term);
  tensor::Tensor logits = tensor::Tensor::empty({rows, scores.vocabulary});
  tensor::Tensor scaled_z;
  if (term != nullptr) {
    scaled_z = tensor::Tensor::empty({rows, scores.code_size});
    scores.scale_z(0, rows, scaled_z.f32());
  }
  scores.logits(0, rows, term ? scaled_z.f32() : nullptr, logits.f32(), scores.vocabulary);
  return logits;
}

}  // namespace evo::ops::cpu
