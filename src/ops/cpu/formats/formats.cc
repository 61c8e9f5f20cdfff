// The number formats that this backend packs weights in: a row of the table and a folder each.
#include <algorithm>
#include <array>
#include <type_traits>

#include "base/float_formats.h"
#include "base/threads/parallel.h"
#include "base/weight_group.h"
#include "ops/cpu/cpu.h"
#include "ops/cpu/formats/bf16/bf16.h"
#include "ops/cpu/formats/bf16/bf16_product.h"
#include "ops/cpu/formats/f32/float_weight.h"
#include "ops/cpu/formats/grouped/grouped_product.h"
#include "ops/cpu/formats/int8/int8_product.h"

namespace evo::ops::cpu {
namespace {

using Packed = std::shared_ptr<const PackedWeight>;

template <class Format, class Number>
Packed pack_as(const Number* weight, int64_t out, int64_t in) {
  return std::make_shared<const Format>(weight, out, in);
}

Packed round_to_bf16_and_pack(const float* weight, int64_t out, int64_t in) {
  const int64_t count = out * in;
  const std::shared_ptr<void> bits = tensor::pooled_bytes(count * sizeof(uint16_t));
  auto* const rounded = static_cast<uint16_t*>(bits.get());
  parallel_for(count, 65536, [&](int64_t begin, int64_t end) {
    ops::convert_to_bf16(weight + begin, end - begin, rounded + begin);
  });
  return std::make_shared<const BF16Weight>(rounded, out, in);
}

template <int64_t kBits, class Number>
Packed round_to_groups(const Number* weight, int64_t out, int64_t in) {
  const auto read = [=](int64_t row, std::span<WeightGroup> groups) {
    const Number* from = weight + row * in;
    int64_t left = in;
    for (WeightGroup& group : groups) {
      const int64_t count = std::min(kGroupInputs, left);
      std::array<float, kGroupInputs> values{};
      if constexpr (std::is_same_v<Number, float>) {
        std::copy_n(from, count, values.begin());
      } else {
        std::transform(from, from + count, values.begin(), from_bf16);
      }
      group = weight_group(values.data(), kBits);
      from += count;
      left -= count;
    }
  };
  return cpu::pack_groups(std::array{GroupedRows{group_format(kBits), out, read}}, in);
}

struct Format {
  tensor::Precision precision;
  Packed (*pack)(const float* weight, int64_t out, int64_t in);
  Packed (*pack_bf16)(const uint16_t* weight, int64_t out, int64_t in);
};

constexpr std::array kFormats = {
    Format{tensor::Precision::kF32, pack_as<FloatWeight, float>, nullptr},
    Format{tensor::Precision::kBF16, round_to_bf16_and_pack, pack_as<BF16Weight, uint16_t>},
    Format{tensor::Precision::kInt8, pack_as<Int8Weight, float>, pack_as<Int8Weight, uint16_t>},
    Format{tensor::Precision::kQ8, round_to_groups<8, float>, round_to_groups<8, uint16_t>},
    Format{tensor::Precision::kQ4, round_to_groups<4, float>, round_to_groups<4, uint16_t>},
};

}  // namespace

Packed pack_weight(const float* weight, int64_t out, int64_t in, tensor::Precision precision) {
  const auto* const format = std::ranges::find(kFormats, precision, &Format::precision);
  EVO_CHECK(out > 0 && in > 0 && format != kFormats.end());
  return format->pack(weight, out, in);
}

Packed pack_bf16_weight(const uint16_t* weight, int64_t out, int64_t in,
                        tensor::Precision precision) {
  const auto* const format = std::ranges::find(kFormats, precision, &Format::precision);
  EVO_CHECK(format != kFormats.end() && format->pack_bf16 != nullptr);
  return format->pack_bf16(weight, out, in);
}

Packed pack_groups(std::span<const GroupedRows> parts, int64_t in) {
  return std::make_shared<const GroupedWeight>(parts, in);
}

}  // namespace evo::ops::cpu
