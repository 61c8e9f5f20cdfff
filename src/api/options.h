// Public options as the layers below know them.
#pragma once

#include <evo/model.hpp>

#include "ops/cached_keys.h"
#include "tensor/tape.h"

namespace evo::api {

/// Throws evo::UsageError for what is none of the values.
[[nodiscard]] evo::tensor::Precision inner_precision(Precision precision);
[[nodiscard]] Precision outer_precision(evo::tensor::Precision precision);
[[nodiscard]] ops::CacheFormat inner_cache_format(KvCache format);

/// 0: as many as there are. Throws evo::UsageError for numbers out of range.
void choose_threads(int count);

}  // namespace evo::api
