// Models in llama.cpp's format that say nothing, to measure its speed beside ours.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace evo::weights {

/// A Llama by its sizes.
struct GgufShape {
  int64_t vocabulary, hidden, layers, heads, kv_heads, head_size, feed_forward, context;
  bool tied;
  double rope_theta, norm_eps;
};

/// Writes such a Llama with meaningless small weights and words, for measuring speed. `format`
/// is F32, BF16 or Q8_0. Throws Error if it cannot be written or a row's length does not suit the
/// format (Q8_0: multiples of 32).
void write_meaningless_gguf(const std::filesystem::path& path, const GgufShape& shape,
                            std::string_view format);

}  // namespace evo::weights
