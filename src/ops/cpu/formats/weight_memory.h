// Memory for weights that are read from end to end again and again.
#pragma once

#include <cstddef>
#include <memory>

namespace evo::ops {

/// As pooled_bytes(), in pages of 2 MB where the system has them: weights that do not fit into the
/// caches are then read a tenth faster.
std::shared_ptr<void> weight_bytes(size_t size);

}  // namespace evo::ops
