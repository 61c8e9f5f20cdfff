#include "base/parallel.h"

#include "base/error.h"

namespace evo {

void set_threads(int count) {
  EVO_CHECK(count >= 1);
  omp_set_num_threads(count);
}

int threads() {
  return omp_get_max_threads();
}

}  // namespace evo
