// The CPU's backend: Highway's vectors, oneDNN's products, our own threads.
#pragma once

#include "ops/backend.h"

namespace evo::cpu {

#define EVO_OP(op) decltype(::evo::op) op;
EVO_FOR_EACH_OP(EVO_OP)
#undef EVO_OP

}  // namespace evo::cpu
