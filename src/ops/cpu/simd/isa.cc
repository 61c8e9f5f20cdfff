#include "ops/machine.h"

#include <hwy/targets.h>

#include <oneapi/dnnl/dnnl.hpp>

#include "base/error.h"

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace evo::ops {
namespace {

/// Linux gives a process the tiles' registers (8 KB a thread) only if it asks.
bool tiles_are_permitted() {
#if defined(__x86_64__) && defined(SYS_arch_prctl)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

/// oneDNN looks at CPUID, at XCR0 (whether the system saves the registers) and at the environment.
Isa detect() {
  const auto offered = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto has = [=](dnnl::cpu_isa wanted) {  // its values are sets of bits
    return (offered & static_cast<unsigned>(wanted)) == static_cast<unsigned>(wanted);
  };
  if (has(dnnl::cpu_isa::avx512_core_amx) && tiles_are_permitted()) return Isa::kAmx;
  if (has(dnnl::cpu_isa::avx512_core_bf16)) return Isa::kAvx512BF16;
  if (has(dnnl::cpu_isa::avx512_core_vnni)) return Isa::kAvx512Vnni;
  if (has(dnnl::cpu_isa::avx512_core)) return Isa::kAvx512;
  return has(dnnl::cpu_isa::avx2) ? Isa::kAvx2 : Isa::kBaseline;
}

Isa detect_and_limit_highway() {
  const Isa found = detect();
#if defined(__x86_64__)
  int64_t above = 0;
  if (found < Isa::kAvx512Vnni) above |= HWY_AVX3_DL;
  if (found < Isa::kAvx512) above |= HWY_AVX3;
  if (found < Isa::kAvx2) above |= HWY_AVX2;
  if (above != 0) hwy::DisableTargets(above);
#endif
  return found;
}

/// Before any operation runs: Highway chooses its targets at the first one.
[[maybe_unused]] const Isa kAtStart = isa();

}  // namespace

Isa isa() {
  static const Isa found = detect_and_limit_highway();
  return found;
}

const char* isa_name(Isa level) {
  switch (level) {
    case Isa::kBaseline:
      return "baseline";
    case Isa::kAvx2:
      return "AVX2";
    case Isa::kAvx512:
      return "AVX512_CORE";
    case Isa::kAvx512Vnni:
      return "AVX512_CORE_VNNI";
    case Isa::kAvx512BF16:
      return "AVX512_CORE_BF16";
    case Isa::kAmx:
      return "AVX512_CORE_AMX";
  }
  check_failed("a level of instructions", __FILE__, __LINE__);
}

}  // namespace evo::ops
