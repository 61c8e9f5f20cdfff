// How much memory a process can still take.
#pragma once

#include <cstddef>
#include <filesystem>

namespace evo {

/// Bytes that this process can take before the system swaps, ends it or refuses: the least of what
/// the machine has available (what a cache of files takes can be had), what its control groups
/// (v1, v2) leave it, and what its limit of address space does (`ulimit -v`). `root` is where
/// /proc and /sys are read.
[[nodiscard]] size_t available_memory(const std::filesystem::path& root = "/");

}  // namespace evo
