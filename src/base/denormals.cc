#include "base/denormals.h"

#if defined(__SSE2__)
#include <pmmintrin.h>
#endif

namespace evo {

void flush_denormals() {
#if defined(__SSE2__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, denormals are zero
#endif
}

}  // namespace evo
