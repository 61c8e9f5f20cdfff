#include "ops/cpu/formats/int8/int8_product.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/float_formats.h"
#include "base/threads/parallel.h"
#include "ops/cpu/formats/f32/row_product.h"
#include "ops/cpu/formats/int8/int8_kernel.h"
#include "ops/cpu/formats/weight_memory.h"
#include "tensor/tensor.h"

namespace evo::ops {
namespace {

constexpr int64_t kMaxIn = 66000;  // 255 * 127 * 66,000 < 2^31

int64_t steps_of(int64_t in) {
  return (in + kInt8Step - 1) / kInt8Step;
}

/// An odd number of cache lines, so that rows do not compete for the same places in the cache; also
/// room for whatever int8_quantize writes beyond the end.
int64_t padded(int64_t in) {
  return (in + 63) / 64 * 64 | 64;
}

}  // namespace

Int8Weight::Int8Weight(const float* weight, int64_t out, int64_t in)
    : PackedWeight(out, in), steps_(steps_of(in)) {
  pack(weight);
}

Int8Weight::Int8Weight(const uint16_t* weight, int64_t out, int64_t in)
    : PackedWeight(out, in), steps_(steps_of(in)) {
  pack(weight);
}

template <class Number>
void Int8Weight::pack(const Number* weight) {
  if (in() > kMaxIn) {
    fail("int8 products take rows of at most {} numbers, found {}: use --precision bf16", kMaxIn,
         in());
  }
  const int64_t outputs = row_product_blocks(out()) * kRowProductBlock;
  memory_ = weight_bytes(bytes());
  weights_ = static_cast<int8_t*>(memory_.get());
  scales_ = reinterpret_cast<float*>(weights_ + outputs * steps_ * kInt8Step);
  sums_ = reinterpret_cast<int32_t*>(scales_ + outputs);
  parallel_for(row_product_blocks(out()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) pack_block(weight, b);
  });
}

template <class Number>
void Int8Weight::pack_block(const Number* weight, int64_t block) {
  std::vector<int8_t> row(static_cast<size_t>(padded(in())));
  std::vector<float> widened(std::is_same_v<Number, float> ? 0 : static_cast<size_t>(in()));
  const auto values = [&](int64_t o) -> const float* {
    const Number* const from = weight + o * in();
    if constexpr (std::is_same_v<Number, float>) {
      return from;
    } else {
      std::transform(from, from + in(), widened.begin(), from_bf16);
      return widened.data();
    }
  };
  int8_t* to = weights_ + block * steps_ * kRowProductBlock * kInt8Step;
  for (int64_t j = 0; j < kRowProductBlock; ++j) {
    const int64_t o = block * kRowProductBlock + j;
    if (o < out()) {
      scales_[o] = int8_quantize(values(o), in(), row.data());
    } else {
      scales_[o] = 0;
      std::fill(row.begin(), row.end(), int8_t{0});
    }
    sums_[o] = std::accumulate(row.begin(), row.begin() + steps_ * kInt8Step, int32_t{0});
    for (int64_t s = 0; s < steps_; ++s) {
      std::memcpy(to + (s * kRowProductBlock + j) * kInt8Step, row.data() + s * kInt8Step,
                  kInt8Step);
    }
  }
}

void Int8Weight::multiply_rows(const float* x, int64_t rows, float* y) const {
  const int64_t stride = padded(in());
  const size_t row_bytes = static_cast<size_t>(stride) * int8_input_size();
  const auto inputs = tensor::pooled_bytes(static_cast<size_t>(rows) * row_bytes);
  const auto x_scales = tensor::pooled_bytes(rows * sizeof(float));
  parallel_for(rows, 65536 / in() + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      static_cast<float*>(x_scales.get())[r] = int8_quantize_input(
          x + r * in(), in(),
          static_cast<char*>(inputs.get()) + static_cast<size_t>(r) * row_bytes);
    }
  });
  const Int8Task task = {inputs.get(), static_cast<const float*>(x_scales.get()),
                         rows,         stride,
                         steps_,       out(),
                         weights_,     scales_,
                         sums_,        y};
  parallel_for(row_product_blocks(out()), row_product_grain(in(), rows, 1),
               [&](int64_t begin, int64_t end) { int8_multiply_blocks(task, begin, end); });
}

void Int8Weight::read_row(int64_t index, float* values) const {
  const int8_t* from =
      weights_ +
      (index / kRowProductBlock * steps_ * kRowProductBlock + index % kRowProductBlock) * kInt8Step;
  for (int64_t k = 0; k < in(); ++k) {
    values[k] = scales_[index] * from[k / kInt8Step * kRowProductBlock * kInt8Step + k % kInt8Step];
  }
}

size_t Int8Weight::bytes() const {
  const auto outputs = static_cast<size_t>(row_product_blocks(out()) * kRowProductBlock);
  return outputs * static_cast<size_t>(steps_ * kInt8Step) +
         outputs * (sizeof(float) + sizeof(int32_t));
}

}  // namespace evo::ops
