// Random orders.
#pragma once

#include <cstddef>
#include <utility>

#include "base/random.h"

namespace evo {

/// Puts `items` in an order drawn uniformly from all orders (Fisher and Yates).
template <class Items>
void shuffle(Items& items, Random& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

}  // namespace evo
