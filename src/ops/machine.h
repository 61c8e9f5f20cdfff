// What this machine can: instructions, products, memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/tape.h"

namespace evo::ops {

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

/// True if CPU and operating system run bf16 products natively (AVX512-BF16 or AMX), and faster
/// than f32: Intel's AVX512-BF16 without AMX has half the rate of f32 (measured: 165 against 312
/// GFLOP/s).
[[nodiscard]] bool native_bf16();

/// kBF16 where the CPU has it, else kF32 (emulated bf16 is slower than f32).
[[nodiscard]] tensor::Precision best_precision();

/// GFLOP/s of a large square product, the best of as many runs as fit into `seconds` (at least
/// one): the limit against which training speed is stated. kStored is measured as kQ8.
[[nodiscard]] double measure_matmul_peak(tensor::Precision precision, double seconds);

/// Reads an array, which must hold nothing but ones, once, with all threads.
void read_ones(std::span<const uint64_t> ones);

/// Bytes per second at which all threads together read `bytes` of memory again and again: the
/// fastest of as many rounds as fit into `seconds`, at least two. What fits into the caches is read
/// from there.
[[nodiscard]] double measure_read_bandwidth(size_t bytes, double seconds);

}  // namespace evo::ops
