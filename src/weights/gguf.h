// Files in llama.cpp's format.
#pragma once

#include <cstdint>
#include <filesystem>

namespace evo::weights {

/// A Llama by its sizes.
struct GgufShape {
  int64_t vocabulary, hidden, layers, heads, kv_heads, head_size, feed_forward, context;
  bool tied;
  double rope_theta, norm_eps;
};
enum class GgufType { kF32, kBF16, kQ8 };

/// Writes such a Llama with meaningless small weights and words, for measuring speed. Throws
/// Error if it cannot be written or a row's length does not suit the type (q8_0: multiples of 32).
void write_meaningless_gguf(const std::filesystem::path& path, const GgufShape& shape,
                            GgufType type);

}  // namespace evo::weights
