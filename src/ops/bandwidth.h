// The other limit of decoding, beside that of products (measure_matmul_peak).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace evo {

/// Reads an array, which must hold nothing but ones, once, with all threads.
void read_ones(std::span<const uint64_t> ones);

/// Bytes per second at which all threads together read `bytes` of memory again and again: the
/// fastest of as many rounds as fit into `seconds`, at least two. What fits into the caches is read
/// from there.
[[nodiscard]] double measure_read_bandwidth(size_t bytes, double seconds);

}  // namespace evo
