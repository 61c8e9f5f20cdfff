# evo_embed(TARGET NAME FILE...)
#
# Puts the files into TARGET, so that the program needs none of them where it runs. The code reaches
# them through the function `std::span<const EmbeddedFile> NAME()` of the layer's namespace (base/embedded_file.h),
# in the order given; it declares that function where it uses it.
function(evo_embed target name)
  string(REGEX REPLACE "^evo_" "" layer ${target})
  set(bytes "")
  set(symbols "")
  set(entries "")
  set(number 0)
  foreach(file ${ARGN})
    cmake_path(GET file FILENAME file_name)
    set(symbol evo_${name}_${number})
    string(APPEND bytes "    \".global ${symbol}, ${symbol}_end\\n\"\n"
                        "    \"${symbol}: .incbin \\\"${file}\\\"\\n\"\n"
                        "    \"${symbol}_end:\\n\"\n")
    string(APPEND symbols "extern \"C\" const char ${symbol}[], ${symbol}_end[];\n")
    string(APPEND entries "      {\"${file_name}\", {${symbol}, ${symbol}_end}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  set(source ${PROJECT_BINARY_DIR}/embedded/${name}.cc)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/embedded.cc.in ${source} @ONLY)
  # Among others in one file (EVO_UNITY) it would not be compiled again when what it embeds changes.
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS "${ARGN}" SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(${target} PRIVATE ${source})
endfunction()
