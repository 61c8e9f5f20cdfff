# libevo for other programs (include/evo/), static and shared, made of the layers' objects as the program has them: nothing
# is compiled twice. EVO_LIBRARY=OFF leaves both out; `cmake --install` then installs the program alone.
option(EVO_LIBRARY "Make the library for other programs, static and shared" ON)
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The layers that a layer uses, and itself.
function(evo_layers_of layer result)
  set(layers ${layer})
  get_target_property(uses ${layer} LINK_LIBRARIES)
  list(FILTER uses INCLUDE REGEX "^evo_")
  foreach(used ${uses})
    evo_layers_of(${used} below)
    list(APPEND layers ${below})
  endforeach()
  list(REMOVE_DUPLICATES layers)
  set(${result} ${layers} PARENT_SCOPE)
endfunction()

function(evo_library target kind name)
  add_library(${target} ${kind} $<TARGET_OBJECTS:evo_api>)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME evo EXPORT_NAME ${name} LINKER_LANGUAGE CXX)
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(TARGETS ${target} EXPORT evo)
endfunction()

function(evo_make_libraries)
  # Until 1.0 any minor version may change what programs see.
  evo_library(evo_shared SHARED evo)
  set_target_properties(evo_shared PROPERTIES VERSION ${PROJECT_VERSION}
                        SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  set(exports ${PROJECT_SOURCE_DIR}/cmake/libevo.map)
  target_link_libraries(evo_shared PRIVATE evo_api)
  target_link_options(evo_shared PRIVATE -Wl,--as-needed -Wl,--no-undefined -Wl,--version-script=${exports})
  set_target_properties(evo_shared PROPERTIES LINK_DEPENDS ${exports})

  evo_library(evo_static STATIC evo_static)
  evo_layers_of(evo_api layers)
  list(REMOVE_ITEM layers evo_api)
  foreach(layer ${layers})
    target_sources(evo_static PRIVATE $<TARGET_OBJECTS:${layer}>)
  endforeach()
  # By the names that linkers know: who uses the library need not find them the way this build does.
  set(EVO_NEEDS dnnl hwy fmt pcre2-8 utf8proc lzma zstd z ${OpenMP_CXX_LIB_NAMES})
  target_link_libraries(evo_static INTERFACE ${EVO_NEEDS})

  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/evo DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/evo)
  install(EXPORT evo FILE evoConfig.cmake NAMESPACE evo:: DESTINATION ${package})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/evoConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/evoConfigVersion.cmake DESTINATION ${package})

  list(TRANSFORM EVO_NEEDS PREPEND -l OUTPUT_VARIABLE EVO_NEEDS_FLAGS)
  list(JOIN EVO_NEEDS_FLAGS " " EVO_NEEDS_FLAGS)
  set(pkgconfig ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  file(RELATIVE_PATH EVO_PREFIX /${pkgconfig} /)  # `cmake --install --prefix` chooses the place
  configure_file(${PROJECT_SOURCE_DIR}/cmake/evo.pc.in ${PROJECT_BINARY_DIR}/evo.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/evo.pc DESTINATION ${pkgconfig})
endfunction()
