# evo_layer(NAME [COLD] USES targets... PRIVATE_USES targets...)
#
# Makes the static library evo_NAME from the sources in src/NAME/ and its folders (tests excepted). Its include root is a
# folder in the build tree that holds one link, NAME -> src/NAME: code can include "NAME/x.h" only
# of layers that it links.
#
# Two thirds of a build are the optimiser's time, most of it spent on JSON, options and tests, where
# nobody waits for the result: COLD layers, which leave the computing to others, and tests are
# compiled for a short build instead.
set(EVO_SHORT_BUILD $<$<CONFIG:Release>:-O1>)
set(EVO_LAYERS "" CACHE INTERNAL "")

# The other third is headers, read again by every file. With EVO_UNITY, eight files of a target are compiled as one, which
# halves a whole build; who changes a file compiles its neighbours as well, so the preset for development is without it.
# Names without linkage must then differ within a layer and within its tests. Left alone: what Highway compiles once per
# instruction set, and the tasks of eval/, which all name alike what they all have.
function(evo_unity target)
  if(NOT EVO_UNITY)
    return()
  endif()
  foreach(source ${ARGN})
    file(STRINGS ${source} per_instruction_set REGEX HWY_TARGET_INCLUDE)
    if(per_instruction_set OR source MATCHES "/eval/tasks/")
      set_source_files_properties(${source} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  # GCC takes a file that is included for a header, whose types others see.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endfunction()

set(EVO_WARNINGS -Wall -Wextra -Wshadow -Wpedantic -Wnon-virtual-dtor)
if(EVO_WERROR)
  list(APPEND EVO_WARNINGS -Werror)
endif()

function(evo_layer name)
  cmake_parse_arguments(ARG "COLD" "" "USES;PRIVATE_USES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  set(root ${PROJECT_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${name} ${root}/${name} SYMBOLIC)

  if(sources)
    add_library(evo_${name} STATIC ${sources})
    target_include_directories(evo_${name} PUBLIC ${root})
    target_link_libraries(evo_${name} PUBLIC ${ARG_USES} PRIVATE ${ARG_PRIVATE_USES})
    target_compile_options(evo_${name} PRIVATE ${EVO_WARNINGS} $<$<BOOL:${ARG_COLD}>:${EVO_SHORT_BUILD}>)
    evo_unity(evo_${name} ${sources})
  else()
    add_library(evo_${name} INTERFACE)
    target_include_directories(evo_${name} INTERFACE ${root})
    target_link_libraries(evo_${name} INTERFACE ${ARG_USES})
  endif()
  set(EVO_LAYERS ${EVO_LAYERS} ${name} CACHE INTERNAL "")
  set(EVO_PRIVATE_USES_${name} ${ARG_PRIVATE_USES} CACHE INTERNAL "")
endfunction()

# One test program per layer, from the *_test.cc beside the code.
function(evo_layer_tests)
  foreach(name ${EVO_LAYERS})
    file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*_test.cc)
    if(tests)
      add_executable(evo_${name}_test ${tests})
      target_link_libraries(evo_${name}_test PRIVATE evo_${name} ${EVO_PRIVATE_USES_${name}}
                            GTest::gtest GTest::gtest_main)
      target_compile_options(evo_${name}_test PRIVATE ${EVO_WARNINGS} ${EVO_SHORT_BUILD})
      evo_unity(evo_${name}_test ${tests})
      gtest_discover_tests(evo_${name}_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
    endif()
  endforeach()
endfunction()
