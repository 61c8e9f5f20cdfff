#include "ops/cpu/formats/weight_memory.h"

#include <sys/mman.h>

#include <cstdint>

#include "tensor/tensor.h"

namespace evo::ops {

std::shared_ptr<void> weight_bytes(size_t size) {
  std::shared_ptr<void> memory = tensor::pooled_bytes(size);
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kPage = uintptr_t{1} << 21;
  const auto begin = reinterpret_cast<uintptr_t>(memory.get());
  const uintptr_t first = (begin + kPage - 1) / kPage * kPage,
                  last = (begin + size) / kPage * kPage;
  // Advice: if the system does not take it, the memory is as good as any.
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
  return memory;
}

}  // namespace evo::ops
