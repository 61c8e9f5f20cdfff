#include "weights/quantized/packed_matrix.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/checked.h"
#include "base/threads/parallel.h"

namespace evo::weights {
namespace {

using enum Quantization::Method;

constexpr int64_t kWordBits = 32;
/// Of eight outputs, those that AWQ has at each place of a word.
constexpr std::array<int64_t, 8> kAwqOrder = {0, 2, 4, 6, 1, 3, 5, 7};

uint32_t word_at(const TensorInfo& words, int64_t i) {
  uint32_t word;
  std::memcpy(&word, words.bytes.data() + static_cast<size_t>(i) * sizeof word, sizeof word);
  return word;
}

}  // namespace

PackedMatrix::PackedMatrix(const ArraySource& source, const std::string& stem,
                           const Quantization& how)
    : source_(source), stem_(stem), how_(how), per_word_(kWordBits / how.bits) {
  const std::string where = source.path().string();
  const TensorInfo& codes = words(".qweight");
  if (codes.shape.size() != 2 || codes.shape[0] < 1 || codes.shape[1] < 1)
    fail("{}: {} has shape {}, expected a matrix", where, codes.name, shape_text(codes.shape));
  const bool awq = how.method == kAwq;
  in_ = checked_mul(codes.shape[0], awq ? 1 : per_word_, codes.name);
  out_ = checked_mul(codes.shape[1], awq ? per_word_ : 1, codes.name);
  if (out_ % per_word_ != 0) {
    fail("{}: {} is of {} outputs, expected a multiple of {}", where, codes.name, out_, per_word_);
  }
  group_size_ = how.group_size == -1 ? in_ : how.group_size;
  if (awq && in_ % group_size_ != 0) {
    fail("{}: {} is of {} inputs, expected a multiple of group_size, {}", where, codes.name, in_,
         group_size_);
  }
  group_count_ = (in_ - 1) / group_size_ + 1;
  const auto require = [&](const char* part, const std::vector<int64_t>& shape) {
    (void)checked_tensor(source.find(stem + part), source.path(), stem + part, shape);
  };
  require(".qzeros", {group_count_, out_ / per_word_});
  require(".scales", {group_count_, out_});
  (void)words(".qzeros");
  const bool has_order = !awq && source.find(stem + ".g_idx") != nullptr;
  if (how.ordered || has_order) {
    require(".g_idx", {in_});
    (void)words(".g_idx");
  }
  how_.ordered = how.ordered || has_order;
}

const TensorInfo& PackedMatrix::words(const char* part) const {
  const TensorInfo* const found = source_.find(stem_ + part);
  EVO_CHECK(found != nullptr);
  if (found->dtype == "I32") return *found;
  fail("{}: {} is {}, expected I32", source_.path().string(), found->name, found->dtype);
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
  const TensorInfo& from = words(".qweight");
  if (how_.method == kAwq) return codes_along_outputs(from, in_, 0);
  const uint32_t mask = (1u << how_.bits) - 1;
  std::vector<uint8_t> codes(static_cast<size_t>(in_ * out_));
  for (int64_t i = 0; i < in_; ++i) {
    const int64_t shift = how_.bits * (i % per_word_), row = i / per_word_ * out_;
    for (int64_t o = 0; o < out_; ++o)
      codes[i * out_ + o] = static_cast<uint8_t>(word_at(from, row + o) >> shift & mask);
  }
  return codes;
}

std::vector<int64_t> PackedMatrix::groups() const {
  std::vector<int64_t> groups(static_cast<size_t>(in_));
  const TensorInfo* const order = how_.ordered ? &words(".g_idx") : nullptr;
  for (int64_t i = 0; i < in_; ++i) {
    groups[i] = order == nullptr ? i / group_size_ : static_cast<int32_t>(word_at(*order, i));
    if (groups[i] >= 0 && groups[i] < group_count_) continue;
    fail("{}: {} puts input {} into group {}, but there are {}", source_.path().string(),
         order->name, i, groups[i], group_count_);
  }
  return groups;
}

void PackedMatrix::read(std::span<float> values) const {
  constexpr int64_t kInputs = 16;  // at a time: they fill a line of cache
  constexpr int64_t kPerThread = int64_t{1} << 16;
  // Numbers that fill their field wrap around into the next one, as they did when 1 was taken off.
  const uint32_t one_in_each = ~uint32_t{0} / ((1u << how_.bits) - 1);
  const std::vector<uint8_t> codes = this->codes();
  const std::vector<uint8_t> zeros =
      codes_along_outputs(words(".qzeros"), group_count_, how_.zeros_less_one ? one_in_each : 0);
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
