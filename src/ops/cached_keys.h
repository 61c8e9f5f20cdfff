// What a decoder keeps of a sequence: keys and values in blocks of tokens, in one of three formats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/rope.h"

namespace evo::ops {

inline constexpr int kCacheBlock = 64;  ///< tokens of a block: four AVX-512 vectors of keys

/// How numbers are kept; what is computed with them is f32 always.
enum class CacheFormat : uint8_t {
  kF32,
  kBF16,  ///< rounded to nearest even
  kQ8  ///< values as whole numbers from -127 to 127 with a scale for each token and head; keys in
       ///< bf16, since in some models (Qwen) a few numbers of them dwarf the others, and 8 bits
       ///< then cost percents of perplexity (docs/log/2026.md)
};

/// Vectors of values are read whole: so many bytes behind a block must be readable.
inline constexpr int64_t kCachePadding = 64;

/// Bytes of a kv head in a layer of a block: keys [e, kCacheBlock], then values [kCacheBlock, e];
/// of kQ8 then scales of the values in f32 [kCacheBlock].
[[nodiscard]] int64_t cache_head_bytes(int head_size, CacheFormat format);

/// ... of all its kv heads.
[[nodiscard]] inline int64_t cache_block_bytes(const HeadLayout& layout, CacheFormat format) {
  return layout.kv_heads * cache_head_bytes(layout.head_size, format);
}

/// What one layer keeps of a sequence: token i lies in block i / kCacheBlock. Blocks are 64-byte
/// aligned.
struct CachedKeys {
  std::span<std::byte* const> blocks;
  int64_t offset = 0;  ///< bytes from the begin of a block to the layer's
  int64_t length = 0;  ///< tokens; what lies behind them may be anything
  CacheFormat format = CacheFormat::kF32;
};

/// Key and value of one token and kv head. Every number is rounded by itself, a value of kQ8 as a
/// whole: what is kept depends on nothing else, and is the same on every CPU. A value of kQ8 with a
/// NaN or an infinity is all NaN, one whose numbers are all below 2^-100 all zero.
class CachedToken {
 public:
  CachedToken(const CachedKeys& cached, const HeadLayout& layout, int64_t token, int64_t kv_head);

  void write(const float* key, const float* value) const;  ///< [e] each
  void read(float* key, float* value) const;

 private:
  CacheFormat format_;
  int size_;
  std::byte* head_;
  int64_t lane_;  // token in its block
};

}  // namespace evo::ops
