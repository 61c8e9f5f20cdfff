#include "weights/quantized/scaled_matrix.h"

#include <algorithm>

#include "base/float_formats.h"
#include "base/threads/parallel.h"

namespace evo::weights {
namespace {

/// Where neither config.json nor the number of scales says it.
constexpr std::array<int64_t, 2> kUsualBlock = {128, 128};

int64_t blocks_in(int64_t extent, int64_t block) {
  return (extent - 1) / block + 1;
}

const TensorInfo& found_scales(const ArraySource& source, const TensorInfo& weight,
                               const std::string& name) {
  const TensorInfo* const found = source.find(name);
  if (found != nullptr) return *found;
  fail("{}: {} is {}, but there is no array {} to multiply it by", source.path().string(),
       weight.name, weight.dtype, name);
}

std::array<int64_t, 2> block_of(const TensorInfo& weight, const TensorInfo& scales,
                                const Quantization& how) {
  if (how.block) return *how.block;
  const int64_t out = weight.shape[0], in = weight.shape[1];
  const int64_t count = element_count(scales.shape, scales.name);
  if (count == 1) return {out, in};
  if (how.method == Quantization::Method::kCompressed) return {1, in};
  return kUsualBlock;
}

std::array<float, 256> values_of_codes(bool is_float) {
  std::array<float, 256> values;
  for (size_t code = 0; code < values.size(); ++code) {
    const auto bits = static_cast<uint8_t>(code);
    values[code] = is_float ? from_f8_e4m3(bits) : static_cast<float>(static_cast<int8_t>(bits));
  }
  return values;
}

}  // namespace

ScaledMatrix::ScaledMatrix(const ArraySource& source, const TensorInfo& weight,
                           const std::string& scales, const Quantization& how)
    : source_(source), weight_(weight), scales_(found_scales(source, weight, scales)) {
  const std::string where = source.path().string();
  if (weight.shape.size() != 2 || weight.shape[0] < 1 || weight.shape[1] < 1) {
    fail("{}: {} is {} of shape {}, expected a matrix", where, weight.name, weight.dtype,
         shape_text(weight.shape));
  }
  block_ = block_of(weight, scales_, how);
  const std::vector<int64_t> expected = {blocks_in(weight.shape[0], block_[0]),
                                         blocks_in(weight.shape[1], block_[1])};
  // A list of as many is one for each output or one for all, too.
  const bool is_list = scales_.shape.size() < 2 && expected[1] == 1 &&
                       element_count(scales_.shape, scales_.name) == expected[0];
  if (!is_list) (void)checked_tensor(&scales_, source.path(), scales_.name, expected);
}

void ScaledMatrix::read(std::span<float> values) const {
  constexpr int64_t kPerThread = int64_t{1} << 16;
  const int64_t out = weight_.shape[0], in = weight_.shape[1];
  const int64_t rows = block_[0], cols = block_[1];
  std::vector<float> scales(static_cast<size_t>(element_count(scales_.shape, scales_.name)));
  source_.read_f32(scales_.name, scales_.shape, scales);
  const std::array<float, 256> of_code = values_of_codes(weight_.dtype == "F8_E4M3");
  const auto* const codes = reinterpret_cast<const uint8_t*>(weight_.bytes.data());
  parallel_for(out, std::max<int64_t>(1, kPerThread / in), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const float* const of_row = scales.data() + o / rows * blocks_in(in, cols);
      for (int64_t first = 0, block = 0; first < in; first += cols, ++block) {
        const int64_t last = std::min(first + cols, in);
        for (int64_t i = first; i < last; ++i)
          values[o * in + i] = of_code[codes[o * in + i]] * of_row[block];
      }
    }
  });
}

}  // namespace evo::weights
