// The reference backend: every operation and its gradient as the formula says, in double, on one
// thread. Far too slow to use; it is what the others are compared with, and proof that a backend
// can be added.
#pragma once

#include "ops/backend.h"

namespace evo::ops::reference {

#define EVO_OP(op) decltype(::evo::ops::op) op;
EVO_FOR_EACH_OP(EVO_OP)
#undef EVO_OP

}  // namespace evo::ops::reference
