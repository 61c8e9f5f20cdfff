#include "ops/cached_keys.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/float_formats.h"

namespace evo::ops {
namespace {

/// Parts of a head in a block, by format. Keys lie [e, kCacheBlock], values [kCacheBlock, e].
template <class Key, class Value>
struct Head {
  Head(std::byte* head, int head_size)
      : keys(reinterpret_cast<Key*>(head)),
        values(reinterpret_cast<Value*>(keys + int64_t{kCacheBlock} * head_size)),
        scales(reinterpret_cast<float*>(values + int64_t{kCacheBlock} * head_size)) {}

  Key* keys;
  Value* values;
  float* scales;  // [kCacheBlock], of kQ8
};

/// body() with the head as its format has it.
template <class Body>
void with_head(CacheFormat format, std::byte* head, int size, const Body& body) {
  switch (format) {
    case CacheFormat::kF32:
      return body(Head<float, float>(head, size));
    case CacheFormat::kBF16:
      return body(Head<uint16_t, uint16_t>(head, size));
    case CacheFormat::kQ8:
      return body(Head<uint16_t, int8_t>(head, size));
  }
  check_failed("a format of keys", __FILE__, __LINE__);
}

/// Numbers `step` apart, each rounded by itself.
void write_numbers(const float* x, int size, float* to, int64_t step) {
  for (int64_t i = 0; i < size; ++i) to[i * step] = x[i];
}
void write_numbers(const float* x, int size, uint16_t* to, int64_t step) {
  for (int64_t i = 0; i < size; ++i) to[i * step] = to_bf16(x[i]);
}
void read_numbers(const float* from, int64_t step, int size, float* x) {
  for (int64_t i = 0; i < size; ++i) x[i] = from[i * step];
}
void read_numbers(const uint16_t* from, int64_t step, int size, float* x) {
  for (int64_t i = 0; i < size; ++i) x[i] = from_bf16(from[i * step]);
}

template <class Number>
void write_value(const float* x, int size, Number* to, float* /*scale*/) {
  write_numbers(x, size, to, 1);
}
template <class Number>
void read_value(const Number* from, const float* /*scale*/, int size, float* x) {
  read_numbers(from, 1, size, x);
}

void write_value(const float* x, int size, int8_t* to, float* scale) {
  constexpr float kLargest = 127, kZero = 0x1p-100f;
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < size; ++i) {
    largest = std::max(largest, std::abs(x[i]));
    finite = finite && std::isfinite(x[i]);
  }
  if (!finite || largest < kZero) {
    std::fill_n(to, size, int8_t{0});
    *scale = finite ? 0 : std::numeric_limits<float>::quiet_NaN();
    return;
  }
  const float factor = kLargest / largest;
  for (int64_t i = 0; i < size; ++i) to[i] = static_cast<int8_t>(nearest_whole(x[i] * factor));
  *scale = largest / kLargest;
}
void read_value(const int8_t* from, const float* scale, int size, float* x) {
  for (int64_t i = 0; i < size; ++i) x[i] = static_cast<float>(from[i]) * *scale;
}

}  // namespace

int64_t cache_head_bytes(int head_size, CacheFormat format) {
  switch (format) {
    case CacheFormat::kF32:
      return int64_t{kCacheBlock} * head_size * 2 * int64_t{sizeof(float)};
    case CacheFormat::kBF16:
      return int64_t{kCacheBlock} * head_size * 2 * int64_t{sizeof(uint16_t)};
    case CacheFormat::kQ8:
      return kCacheBlock *
             (head_size * int64_t{sizeof(uint16_t) + sizeof(int8_t)} + int64_t{sizeof(float)});
  }
  check_failed("a format of keys", __FILE__, __LINE__);
}

CachedToken::CachedToken(const CachedKeys& cached, const HeadLayout& layout, int64_t token,
                         int64_t kv_head)
    : format_(cached.format),
      size_(layout.head_size),
      head_(cached.blocks[token / kCacheBlock] + cached.offset +
            kv_head * cache_head_bytes(layout.head_size, cached.format)),
      lane_(token % kCacheBlock) {}

void CachedToken::write(const float* key, const float* value) const {
  with_head(format_, head_, size_, [&](const auto& head) {
    write_numbers(key, size_, head.keys + lane_, kCacheBlock);
    write_value(value, size_, head.values + lane_ * size_, head.scales + lane_);
  });
}

void CachedToken::read(float* key, float* value) const {
  with_head(format_, head_, size_, [&](const auto& head) {
    read_numbers(head.keys + lane_, kCacheBlock, size_, key);
    read_value(head.values + lane_ * size_, head.scales + lane_, size_, value);
  });
}

}  // namespace evo::ops
