// Option values that several commands share.
#pragma once

#include <string>
#include <string_view>

#include "ops/cached_keys.h"
#include "tensor/tape.h"

namespace evo::cli {

inline constexpr const char* kThreadsHelp =
    "threads; default: as many as the process may run at once (affinity, CPU quota)";
/// --threads: 0 means default_threads() (base/threads/cpu_limit.h). What it may be is checked where
/// the command line is read (cli/program.cc).
void use_threads(int threads);

/// "80G", "2.5T", "80Gi": a number above 0 with a unit of powers of 1000, or of 1024. Throws
/// UsageError, which names `option`.
double parse_amount(const char* option, std::string_view text);

/// --precision auto|f32|bf16|int8; auto is bf16 where the CPU has it. Throws UsageError.
tensor::Precision parse_precision(const std::string& name);
/// The same without int8, which gradients cannot pass.
tensor::Precision parse_training_precision(const std::string& name);
inline constexpr const char* kDefaultKvCache = "f32";
inline constexpr const char* kKvCacheHelp =
    "how keys and values of earlier tokens are kept: f32 (default), bf16 in half the memory, or q8 "
    "in about 38% of it (values in 8 bits, keys in bf16)";
/// --kv-cache f32|bf16|q8. Throws UsageError.
ops::CacheFormat parse_cache_format(const std::string& name);

}  // namespace evo::cli
