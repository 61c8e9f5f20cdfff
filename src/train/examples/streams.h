// Purposes of the random streams of a training run; the initial weights and the loader's order have
// their own.
#pragma once

#include <cstdint>

namespace evo::train {

enum RunStream : uint64_t {
  kPlanStream = 101,
  kNoiseStream,
  kSelfConditionStream,
  kValidationStream,
  kTimeTableStream,
  kInfillStream,
};

}  // namespace evo::train
