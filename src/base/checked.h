// Arithmetic on sizes that come from outside (file headers, flags): overflow is an Error, never a
// wrapped number.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace evo {

/// a * b; throws Error naming `what` when the product does not fit.
template <class Int>
[[nodiscard]] Int checked_mul(Int a, Int b, std::string_view what) {
  Int product;
  if (__builtin_mul_overflow(a, b, &product)) fail("{}: {} x {} is too large", what, a, b);
  return product;
}

/// a + b; throws Error naming `what` when the sum does not fit.
template <class Int>
[[nodiscard]] Int checked_add(Int a, Int b, std::string_view what) {
  Int sum;
  if (__builtin_add_overflow(a, b, &sum)) fail("{}: {} + {} is too large", what, a, b);
  return sum;
}

}  // namespace evo
