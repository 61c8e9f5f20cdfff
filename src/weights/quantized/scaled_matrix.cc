#include "weights/quantized/scaled_matrix.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/float_formats.h"
#include "base/threads/parallel.h"
#include "weights/quantized/packed_words.h"

namespace evo::weights {
namespace {

/// Of fp8 where neither config.json nor the number of scales says it.
constexpr std::array<int64_t, 2> kUsualBlock = {128, 128};

int64_t blocks_in(int64_t extent, int64_t block) {
  return (extent - 1) / block + 1;
}

std::array<float, 256> values_of_bytes(bool is_float) {
  std::array<float, 256> values;
  for (size_t code = 0; code < values.size(); ++code) {
    const auto bits = static_cast<uint8_t>(code);
    values[code] = is_float ? from_f8_e4m3(bits) : static_cast<float>(static_cast<int8_t>(bits));
  }
  return values;
}

/// An array of two whole numbers of 32 or 64 bits.
std::vector<int64_t> read_shape(const ArraySource& source, const std::string& name) {
  const TensorInfo& found = checked_tensor(source.find(name), source.path(), name, {2});
  if (found.dtype == "I32") {
    return {static_cast<int32_t>(word_at(found, 0)), static_cast<int32_t>(word_at(found, 1))};
  }
  if (found.dtype != "I64")
    fail("{}: {} is {}, expected I64", source.path().string(), name, found.dtype);
  std::vector<int64_t> shape(2);
  std::memcpy(shape.data(), found.bytes.data(), found.bytes.size());
  return shape;
}

/// As many words as numbers of `bits` fill.
int64_t words_for(int64_t numbers, int64_t bits, std::string_view where) {
  return blocks_in(checked_mul(numbers, bits, where), kWordBits);
}

}  // namespace

ScaledMatrix::ScaledMatrix(const ArraySource& source, const std::string& stem,
                           const Quantization& how)
    : source_(source), how_(how) {
  find_numbers(stem);
  find_scales(stem);
  if (how.method == Quantization::Method::kCompressed) find_zeros(stem);
  if (how.ordered) order_ = &checked_words(source, stem + ".weight_g_idx", {shape_[1]});
}

void ScaledMatrix::find_numbers(const std::string& stem) {
  const std::string where = source_.path().string();
  const std::string name = stem + (how_.packed ? ".weight_packed" : ".weight");
  numbers_ = source_.find(name);
  EVO_CHECK(numbers_ != nullptr);
  shape_ = how_.packed ? read_shape(source_, stem + ".weight_shape") : numbers_->shape;
  if (shape_.size() != 2 || shape_[0] < 1 || shape_[1] < 1) {
    fail("{}: {} is {} of shape {}, expected a matrix", where, stem + ".weight", numbers_->dtype,
         shape_text(shape_));
  }
  if (how_.packed) {
    (void)checked_words(source_, name, {shape_[0], words_for(shape_[1], how_.bits, name)});
    const int half = 1 << (how_.bits - 1);
    for (int code = 0; code < 2 * half; ++code) of_code_[code] = static_cast<float>(code - half);
  } else {
    of_code_ = values_of_bytes(numbers_->dtype == "F8_E4M3");
  }
}

std::array<int64_t, 2> ScaledMatrix::block_of(const TensorInfo& scales) const {
  const int64_t out = shape_[0], in = shape_[1];
  if (how_.block) return *how_.block;
  if (how_.group_size > 0) {
    if (in % how_.group_size == 0) return {1, how_.group_size};
    fail("{}: {} is of {} inputs, expected a multiple of group_size, {}", source_.path().string(),
         numbers_->name, in, how_.group_size);
  }
  if (element_count(scales.shape, scales.name) == 1) return {out, in};
  if (how_.method == Quantization::Method::kCompressed) return {1, in};
  return kUsualBlock;
}

void ScaledMatrix::find_scales(const std::string& stem) {
  const bool inverse = how_.method == Quantization::Method::kFp8;
  const std::string name = stem + (inverse ? ".weight_scale_inv" : ".weight_scale");
  scales_ = source_.find(name);
  if (scales_ == nullptr) {
    fail("{}: {} is {}, but there is no array {} to multiply it by", source_.path().string(),
         numbers_->name, numbers_->dtype, name);
  }
  block_ = block_of(*scales_);
  grid_ = {blocks_in(shape_[0], block_[0]), blocks_in(shape_[1], block_[1])};
  // A list of as many is one for each output or one for all, too.
  const bool is_list =
      scales_->shape.size() < 2 && grid_[1] == 1 && element_count(scales_->shape, name) == grid_[0];
  if (!is_list) (void)checked_tensor(scales_, source_.path(), name, {grid_[0], grid_[1]});
}

void ScaledMatrix::find_zeros(const std::string& stem) {
  const std::string name = stem + ".weight_zero_point";
  zeros_ = source_.find(name);
  if (zeros_ == nullptr && how_.symmetric) return;
  if (zeros_ != nullptr && zeros_->dtype == "I8") {
    (void)checked_tensor(zeros_, source_.path(), name, scales_->shape);
  } else if (how_.packed && !how_.symmetric) {
    (void)checked_words(source_, name, {words_for(grid_[0], how_.bits, name), grid_[1]});
  } else {
    (void)checked_tensor(zeros_, source_.path(), name, scales_->shape);
    fail("{}: {} is {}, expected I8", source_.path().string(), name, zeros_->dtype);
  }
}

std::string ScaledMatrix::dtype() const {
  return how_.packed ? "I" + std::to_string(how_.bits) : numbers_->dtype;
}

std::vector<float> ScaledMatrix::zeros() const {
  std::vector<float> zeros(static_cast<size_t>(grid_[0] * grid_[1]));
  if (zeros_ == nullptr) return zeros;
  const bool bytes = zeros_->dtype == "I8";
  const int64_t per_word = kWordBits / how_.bits, half = int64_t{1} << (how_.bits - 1);
  for (int64_t i = 0; i < std::ssize(zeros); ++i) {
    const int64_t row = i / grid_[1], column = i % grid_[1];
    if (bytes) {
      zeros[i] = static_cast<float>(static_cast<int8_t>(zeros_->bytes[i]));
      continue;
    }
    const uint32_t word = word_at(*zeros_, row / per_word * grid_[1] + column);
    const uint32_t code = word >> (how_.bits * (row % per_word)) & (2 * half - 1);
    zeros[i] = static_cast<float>(code - half);
  }
  return zeros;
}

std::vector<ScaledMatrix::Run> ScaledMatrix::runs() const {
  const int64_t in = shape_[1];
  // As whoever made such a file read it: one -1 says that there is no order.
  constexpr uint32_t kNone = 0xFFFFFFFF;
  bool in_order = order_ == nullptr;
  for (int64_t i = 0; i < in && !in_order; ++i) in_order = word_at(*order_, i) == kNone;
  std::vector<Run> runs;
  if (in_order) {
    for (int64_t block = 0; block < grid_[1]; ++block)
      runs.push_back({block, block * block_[1], in - block * block_[1]});
    for (Run& run : runs) run.count = std::min(run.count, block_[1]);
  } else {
    const std::vector<int64_t> groups = groups_in(source_, *order_, grid_[1]);
    for (int64_t i = 0; i < in; ++i) runs.push_back({groups[i], i, 1});
  }
  return runs;
}

void ScaledMatrix::read_numbers(int64_t output, std::span<float> numbers) const {
  const int64_t in = shape_[1];
  if (!how_.packed) {
    const auto* const codes = reinterpret_cast<const uint8_t*>(numbers_->bytes.data());
    for (int64_t i = 0; i < in; ++i) numbers[i] = of_code_[codes[output * in + i]];
    return;
  }
  const int64_t per_word = kWordBits / how_.bits, words = numbers_->shape[1];
  const uint32_t mask = (1u << how_.bits) - 1;
  for (int64_t i = 0; i < words; ++i) {
    uint32_t word = word_at(*numbers_, output * words + i);
    for (float& number : numbers.subspan(i * per_word, std::min(per_word, in - i * per_word))) {
      number = of_code_[word & mask];
      word >>= how_.bits;
    }
  }
}

void ScaledMatrix::read(std::span<float> values) const {
  constexpr int64_t kPerThread = int64_t{1} << 16;
  const int64_t out = shape_[0], in = shape_[1];
  std::vector<float> scales(static_cast<size_t>(grid_[0] * grid_[1]));
  source_.read_f32(scales_->name, scales_->shape, scales);
  const std::vector<float> zeros = this->zeros();
  const std::vector<Run> runs = this->runs();
  parallel_for(out, std::max<int64_t>(1, kPerThread / in), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const std::span row = values.subspan(o * in, in);
      read_numbers(o, row);
      const int64_t of_row = o / block_[0] * grid_[1];
      for (const Run& run : runs) {
        const float scale = scales[of_row + run.block], zero = zeros[of_row + run.block];
        for (float& value : row.subspan(run.first, run.count)) value = scale * (value - zero);
      }
    }
  });
}

}  // namespace evo::weights
