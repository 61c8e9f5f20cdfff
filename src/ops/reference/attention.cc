// Attention over rows of the pass and over what a decoder kept.
#include <algorithm>

#include "base/error.h"
#include "ops/reference/attention_formula.h"
#include "ops/reference/reference.h"
#include "ops/reference/tensors.h"

namespace evo::ops::reference {
namespace {

/// Keys or values of context rows, [rows, G e].
struct Context {
  std::vector<double> keys, values;
};

tensor::Tensor attend(const tensor::Tape& tape, const Matrix& qkv, const HeadLayout& layout,
                      std::span<const KeyRange> ranges, const Context* context) {
  const ReferenceAttention<double> call{layout, ranges, qkv.values.data(),
                                        context ? context->keys.data() : nullptr,
                                        context ? context->values.data() : nullptr};
  Matrix out(qkv.rows, layout.q_cols());
  out.values = call.forward();
  return output_of(tape, out);
}

Context read(const KeyValueView& view, const HeadLayout& layout, int64_t rows) {
  Context context;
  for (int64_t r = 0; r < rows; ++r) {
    const auto append = [&](std::vector<double>& to, const float* from) {
      to.insert(to.end(), from + r * view.row_stride,
                from + r * view.row_stride + layout.kv_cols());
    };
    append(context.keys, view.keys);
    append(context.values, view.values);
  }
  return context;
}

Context read(const CachedKeys& cached, const HeadLayout& layout) {
  Context context;
  std::vector<float> key(layout.head_size), value(layout.head_size);
  for (int64_t token = 0; token < cached.length; ++token) {
    for (int64_t head = 0; head < layout.kv_heads; ++head) {
      CachedToken(cached, layout, token, head).read(key.data(), value.data());
      context.keys.insert(context.keys.end(), key.begin(), key.end());
      context.values.insert(context.values.end(), value.begin(), value.end());
    }
  }
  return context;
}

}  // namespace

tensor::Tensor attention(tensor::Tape& tape, const tensor::Tensor& qkv, const HeadLayout& layout,
                         std::span<const KeyRange> ranges, const KeyValueView* context) {
  EVO_CHECK(std::ssize(ranges) == qkv.rows() && (context == nullptr || !tape.recording()));
  Context view;
  if (context != nullptr) {
    int64_t rows = 0;
    for (const KeyRange& range : ranges) rows = std::max<int64_t>(rows, range.context_end);
    view = read(*context, layout, rows);
  }
  const tensor::Tensor out =
      attend(tape, matrix_of(qkv), layout, ranges, context ? &view : nullptr);
  const std::vector<KeyRange> seen(ranges.begin(), ranges.end());
  record(tape, out, [=](const Matrix& dout) {
    Matrix dqkv = matrix_of(qkv);
    const std::vector<double> values = dqkv.values;
    dqkv.values =
        ReferenceAttention<double>{layout, seen, values.data()}.backward(dout.values.data());
    add_gradient(qkv, dqkv);
  });
  return out;
}

void write_keys(const tensor::Tensor& qkv, const HeadLayout& layout, int64_t begin, int64_t end,
                const CachedKeys& cached, int64_t token) {
  for (int64_t r = begin; r < end; ++r, ++token) {
    for (int64_t head = 0; head < layout.kv_heads; ++head) {
      const float* const key = qkv.row(r) + layout.q_cols() + head * layout.head_size;
      CachedToken(cached, layout, token, head).write(key, key + layout.kv_cols());
    }
  }
}

tensor::Tensor cached_attention(const tensor::Tape& tape, const tensor::Tensor& qkv,
                                const HeadLayout& layout, std::span<const KeyRange> ranges,
                                std::span<const int32_t> sequences,
                                std::span<const CachedKeys> contexts) {
  EVO_CHECK(!tape.recording());
  const tensor::Tensor out = tape.output({qkv.rows(), layout.q_cols()});
  for (int32_t sequence = 0; sequence < std::ssize(contexts); ++sequence) {
    const Context context = read(contexts[sequence], layout);
    // All rows as if they were of this sequence; those that are not attend to themselves.
    std::vector<KeyRange> own;
    for (int32_t r = 0; r < qkv.rows(); ++r) {
      const bool of_this = sequences[r] == sequence;
      own.push_back(of_this ? ranges[r] : KeyRange{0, 0, r, r + 1});
    }
    const tensor::Tensor all = attend(tape, matrix_of(qkv), layout, own, &context);
    for (int64_t r = 0; r < qkv.rows(); ++r) {
      if (sequences[r] == sequence) {
        std::copy_n(all.row(r), layout.q_cols(), out.row(r));
      }
    }
  }
  return out;
}

}  // namespace evo::ops::reference
