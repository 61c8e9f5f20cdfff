#include "api/options.h"

#include "base/error.h"
#include "base/threads/parallel.h"
#include "base/threads/thread_pool.h"
#include "ops/machine.h"

namespace evo::api {

evo::tensor::Precision inner_precision(Precision precision) {
  switch (precision) {
    case Precision::kAuto:
    case Precision::kStored:
      return evo::tensor::Precision::kStored;
    case Precision::kF32:
      return evo::tensor::Precision::kF32;
    case Precision::kBf16:
      return evo::tensor::Precision::kBF16;
    case Precision::kInt8:
      return evo::tensor::Precision::kInt8;
    case Precision::kQ8:
      return evo::tensor::Precision::kQ8;
    case Precision::kQ4:
      return evo::tensor::Precision::kQ4;
  }
  throw evo::UsageError("precision: expected kAuto, kF32, kBf16, kInt8, kQ8 or kQ4");
}

Precision outer_precision(evo::tensor::Precision precision) {
  switch (precision) {
    case evo::tensor::Precision::kF32:
      return Precision::kF32;
    case evo::tensor::Precision::kBF16:
      return Precision::kBf16;
    case evo::tensor::Precision::kInt8:
      return Precision::kInt8;
    case evo::tensor::Precision::kQ8:
      return Precision::kQ8;
    case evo::tensor::Precision::kQ4:
      return Precision::kQ4;
    case evo::tensor::Precision::kStored:
      return Precision::kStored;
  }
  check_failed("a precision", __FILE__, __LINE__);
}

ops::CacheFormat inner_cache_format(KvCache format) {
  switch (format) {
    case KvCache::kF32:
      return ops::CacheFormat::kF32;
    case KvCache::kBf16:
      return ops::CacheFormat::kBF16;
    case KvCache::kQ8:
      return ops::CacheFormat::kQ8;
  }
  throw evo::UsageError("kv_cache: expected kF32, kBf16 or kQ8");
}

void choose_threads(int count) {
  if (count < 0 || count > kMaxThreads) {
    throw evo::UsageError(fmt::format("threads {}: expected 1 to {}, or 0 for as many as there are",
                                      count, kMaxThreads));
  }
  if (count > 0) set_threads(count);
}

}  // namespace evo::api
