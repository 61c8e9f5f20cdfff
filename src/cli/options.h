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

/// --precision auto|f32|bf16|q8|q4|int8; see kPrecisionHelp. Throws UsageError.
tensor::Precision parse_precision(const std::string& name);
/// What --help says of it.
inline constexpr const char* kPrecisionHelp =
    "auto: a GGUF file's weights of 8 bits and fewer as they are stored, others in bf16 where the "
    "CPU has it, else in f32; f32; bf16; q8 and q4, 8 and 4 bits in groups of 32, whose perplexity "
    "is 0.2% and a few % higher; int8, one scale a row: fast, but up to 4% higher";
/// The same of auto (the best that gradients can pass), f32 and bf16.
tensor::Precision parse_training_precision(const std::string& name);
inline constexpr const char* kDefaultKvCache = "f32";
inline constexpr const char* kKvCacheHelp =
    "how keys and values of earlier tokens are kept: f32 (default), bf16 in half the memory, or q8 "
    "in about 38% of it (values in 8 bits, keys in bf16)";
/// --kv-cache f32|bf16|q8. Throws UsageError.
ops::CacheFormat parse_cache_format(const std::string& name);

}  // namespace evo::cli
