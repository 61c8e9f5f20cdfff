// The twin of mpi_communicator.cc in a build without MPI.
#include "comm/communicator.h"
#include "comm/launch.h"

namespace evo::comm {

std::unique_ptr<Communicator> make_communicator(const CommunicatorOptions&) {
  if (launched_ranks() > 1) {
    fail(
        "this is one of several processes (mpirun or srun), but evo was built without MPI: build "
        "it "
        "where MPI is installed (Debian: libopenmpi-dev), or start it alone");
  }
  return single_communicator();
}

}  // namespace evo::comm
