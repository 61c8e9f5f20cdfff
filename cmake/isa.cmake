# Runs those tests of `target` that match `filter` again, once per level of the CPU's instructions below its own: what is
# promised of a CPU's kernels must hold for those of other CPUs. A level that this CPU lacks, or that all tests run with
# anyway, is skipped (tests/isa.cc).
function(evo_add_isa_tests target filter)
  foreach(level AVX2 AVX512_CORE AVX512_CORE_BF16)
    add_test(NAME ${target}.with_${level}
             COMMAND evo_isa ${level} $<TARGET_FILE:${target}> --gtest_filter=${filter} --gtest_brief=1)
    set_tests_properties(${target}.with_${level} PROPERTIES LABELS isa TIMEOUT 600 SKIP_RETURN_CODE 77)
  endforeach()
endfunction()
