// How many processors this process may use.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace evo {

/// CPUs that the control groups of this process allow it (their CPU bandwidth: cpu.max of version
/// 2, cpu.cfs_quota_us of version 1; the least of the group's and of those above it), nothing if
/// they set no limit. `root` is the folder in which /proc and the mounts are found.
[[nodiscard]] std::optional<double> cpu_quota(const std::filesystem::path& root = "/");

/// The processors of the machine that are in use, whoever may run on them.
[[nodiscard]] int64_t online_cpus();

/// How many threads to use where nobody says: OMP_NUM_THREADS if it is set, else as many as this
/// process may run at the same time by its affinity and by cpu_quota(), rounded up.
[[nodiscard]] int64_t default_threads();

}  // namespace evo
