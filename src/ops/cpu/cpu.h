// The CPU's backend: Highway's vectors, oneDNN's products, our own threads.
#pragma once

#include "ops/backend.h"

namespace evo::ops::cpu {

#define EVO_OP(op) decltype(::evo::ops::op) op;
EVO_FOR_EACH_OP(EVO_OP)
#undef EVO_OP

}  // namespace evo::ops::cpu
