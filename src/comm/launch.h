// How this process was started.
#pragma once

namespace evo::comm {

/// How many ranks mpirun or srun says it started, or 2 if it says only that this is one of them; 1
/// for a process that was started alone. Reads the environment only: a process alone need not pay
/// for MPI.
[[nodiscard]] int launched_ranks();

}  // namespace evo::comm
