#include "weights/quantized/packed_matrix.h"

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "base/threads/parallel.h"
#include "weights/quantized/packed_words.h"

namespace evo::weights {
namespace {

using enum Quantization::Method;

/// Of eight outputs, those that AWQ has at each place of a word.
constexpr std::array<int64_t, 8> kAwqOrder = {0, 2, 4, 6, 1, 3, 5, 7};

}  // namespace

PackedMatrix::PackedMatrix(const ArraySource& source, const std::string& stem,
                           const Quantization& how)
    : source_(source), stem_(stem), how_(how), per_word_(kWordBits / how.bits) {
  const std::string where = source.path().string(), name = stem + ".qweight";
  const TensorInfo* const codes = source.find(name);
  EVO_CHECK(codes != nullptr);
  if (codes->shape.size() != 2 || codes->shape[0] < 1 || codes->shape[1] < 1)
    fail("{}: {} has shape {}, expected a matrix", where, name, shape_text(codes->shape));
  codes_ = &checked_words(source, name, codes->shape);
  const bool awq = how.method == kAwq;
  in_ = checked_mul(codes->shape[0], awq ? 1 : per_word_, name);
  out_ = checked_mul(codes->shape[1], awq ? per_word_ : 1, name);
  if (out_ % per_word_ != 0) {
    fail("{}: {} is of {} outputs, expected a multiple of {}", where, name, out_, per_word_);
  }
  group_size_ = how.group_size == -1 ? in_ : how.group_size;
  if (awq && in_ % group_size_ != 0) {
    fail("{}: {} is of {} inputs, expected a multiple of group_size, {}", where, name, in_,
         group_size_);
  }
  group_count_ = (in_ - 1) / group_size_ + 1;
  zeros_ = &checked_words(source, stem + ".qzeros", {group_count_, out_ / per_word_});
  const std::string scales = stem + ".scales", order = stem + ".g_idx";
  (void)checked_tensor(source.find(scales), source.path(), scales, {group_count_, out_});
  if (how.ordered || (!awq && source.find(order) != nullptr))
    order_ = &checked_words(source, order, {in_});
}

std::vector<uint8_t> PackedMatrix::codes_along_outputs(const TensorInfo& words, int64_t rows,
                                                       uint32_t added) const {
  const uint32_t mask = (1u << how_.bits) - 1;
  std::vector<uint8_t> codes(static_cast<size_t>(rows * out_));
  uint8_t* at = codes.data();
  for (int64_t i = 0; i < rows * (out_ / per_word_); ++i, at += per_word_) {
    const uint32_t word = word_at(words, i) + added;
    for (int64_t place = 0; place < per_word_; ++place) {
      const int64_t o = how_.method == kAwq ? kAwqOrder[place] : place;
      at[o] = static_cast<uint8_t>(word >> (how_.bits * place) & mask);
    }
  }
  return codes;
}

std::vector<uint8_t> PackedMatrix::codes() const {
  if (how_.method == kAwq) return codes_along_outputs(*codes_, in_, 0);
  const uint32_t mask = (1u << how_.bits) - 1;
  std::vector<uint8_t> codes(static_cast<size_t>(in_ * out_));
  for (int64_t i = 0; i < in_; ++i) {
    const int64_t shift = how_.bits * (i % per_word_), row = i / per_word_ * out_;
    for (int64_t o = 0; o < out_; ++o)
      codes[i * out_ + o] = static_cast<uint8_t>(word_at(*codes_, row + o) >> shift & mask);
  }
  return codes;
}

std::vector<int64_t> PackedMatrix::groups() const {
  if (order_ != nullptr) return groups_in(source_, *order_, group_count_);
  std::vector<int64_t> groups(static_cast<size_t>(in_));
  for (int64_t i = 0; i < in_; ++i) groups[i] = i / group_size_;
  return groups;
}

void PackedMatrix::read(std::span<float> values) const {
  constexpr int64_t kInputs = 16;  // at a time: they fill a line of cache
  constexpr int64_t kPerThread = int64_t{1} << 16;
  // Numbers that fill their field wrap around into the next one, as they did when 1 was taken off.
  const uint32_t one_in_each = ~uint32_t{0} / ((1u << how_.bits) - 1);
  const std::vector<uint8_t> codes = this->codes();
  const std::vector<uint8_t> zeros =
      codes_along_outputs(*zeros_, group_count_, how_.zeros_less_one ? one_in_each : 0);
  const std::vector<int64_t> groups = this->groups();
  std::vector<float> scales(static_cast<size_t>(group_count_ * out_));
  source_.read_f32(stem_ + ".scales", {group_count_, out_}, scales);
  parallel_for(out_, std::max<int64_t>(1, kPerThread / in_), [&](int64_t begin, int64_t end) {
    for (int64_t first = 0; first < in_; first += kInputs) {
      const int64_t last = std::min(first + kInputs, in_);
      for (int64_t o = begin; o < end; ++o) {
        for (int64_t i = first; i < last; ++i) {
          const int64_t group = groups[i] * out_ + o;
          values[o * in_ + i] =
              scales[group] * static_cast<float>(codes[i * out_ + o] - zeros[group]);
        }
      }
    }
  });
}

}  // namespace evo::weights
