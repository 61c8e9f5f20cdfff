// Which of the CPU's instructions for vectors and matrices the operations use.
#pragma once

namespace evo {

/// Levels of x86-64, each with all before it; other machines are at the first one, and use what
/// they have.
enum class Isa { kBaseline, kAvx2, kAvx512, kAvx512Vnni, kAvx512BF16, kAmx };

/// What CPU and operating system offer, or less if the environment says so: ONEDNN_MAX_CPU_ISA
/// (AVX2, AVX512_CORE, AVX512_CORE_VNNI, AVX512_CORE_BF16) limits oneDNN's products, which read it,
/// and thereby our own and all operations written with Highway. The same as long as the program
/// runs, so that kernels chosen by it are the same for any number of rows and threads.
[[nodiscard]] Isa isa();

/// "AVX2", "AVX512_CORE" ...: as ONEDNN_MAX_CPU_ISA calls it.
[[nodiscard]] const char* isa_name(Isa level);

}  // namespace evo
