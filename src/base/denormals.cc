#include "base/denormals.h"

#if defined(__SSE2__)
#include <pmmintrin.h>
#endif

namespace evo {

#if defined(__SSE2__)
constexpr unsigned kExceptionFlags = 0x3f;  // what happened so far, which is no mode
#endif

void flush_denormals() {
#if defined(__SSE2__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, denormals are zero
#endif
}

unsigned floating_point_modes() {
#if defined(__SSE2__)
  return _mm_getcsr() & ~kExceptionFlags;
#else
  return 0;
#endif
}

void set_floating_point_modes(unsigned modes) {
#if defined(__SSE2__)
  if (floating_point_modes() != modes) _mm_setcsr(modes);
#else
  (void)modes;
#endif
}

}  // namespace evo
