# Distributed training: with MPI if it is installed (EVO_MPI=OFF: not even then).
option(EVO_MPI "Train on several processes, if MPI is installed" ON)
if(EVO_MPI)
  set(MPI_CXX_SKIP_MPICXX ON)  # the C interface is all we use
  find_package(MPI QUIET COMPONENTS CXX)
endif()
if(EVO_MPI AND MPI_CXX_FOUND)
  set(EVO_HAS_MPI ON)
  set(EVO_MPI_TARGET MPI::MPI_CXX)
  set(EVO_MPIRUN ${MPIEXEC_EXECUTABLE})
  set(EVO_OTHER_COMMUNICATOR no_mpi_communicator.cc)
  message(STATUS "Training on several processes: with MPI")
else()
  set(EVO_HAS_MPI OFF)
  set(EVO_MPI_TARGET)
  set(EVO_MPIRUN)
  set(EVO_OTHER_COMMUNICATOR mpi_communicator.cc mpi_wait.cc)
  message(STATUS "Training on several processes: no; MPI is not installed or EVO_MPI is OFF")
endif()

# Of the two communicators, the one that this build has not. Apart from others is compiled what needs MPI: so programs
# that train on one process alone, as those with libevo do, are linked without it.
function(evo_leave_out_other_communicator)
  set(folder ${PROJECT_SOURCE_DIR}/src/comm)
  list(TRANSFORM EVO_OTHER_COMMUNICATOR PREPEND ${folder}/)
  set_source_files_properties(${EVO_OTHER_COMMUNICATOR} PROPERTIES HEADER_FILE_ONLY ON)
  set_source_files_properties(${folder}/mpi_communicator.cc ${folder}/mpi_wait.cc
                              PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# Runs those tests of `target` that match `filter` on 2 and on 4 ranks, once per number. They are
# tests that any number of ranks passes; alone they run with the target's other tests.
function(evo_add_rank_tests target filter)
  if(NOT EVO_HAS_MPI)
    message(STATUS "${target}: no tests on several ranks, for want of MPI")
    return()
  endif()
  foreach(ranks 2 4)
    add_test(NAME ${target}.on_${ranks}_ranks
             COMMAND ${EVO_MPIRUN} -n ${ranks} --oversubscribe $<TARGET_FILE:${target}>
                     --gtest_filter=${filter} --gtest_brief=1)
    set_tests_properties(${target}.on_${ranks}_ranks PROPERTIES LABELS mpi TIMEOUT 300
      PROCESSORS 2 ENVIRONMENT "${EVO_MPI_ENVIRONMENT}")
  endforeach()
endfunction()

# Open MPI: tests may run as root in a container, where one process may not read another's memory.
set(EVO_MPI_ENVIRONMENT OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_rmaps_base_oversubscribe=1
    OMP_NUM_THREADS=1)
