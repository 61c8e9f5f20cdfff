// Runs a command with the CPU's instructions limited to a level, as if on an older CPU; without
// arguments, says which levels the tests run with here (see cmake/isa.cmake).
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "ops/machine.h"

namespace evo {
namespace {

constexpr std::array kLevels = {ops::Isa::kAvx2, ops::Isa::kAvx512, ops::Isa::kAvx512BF16,
                                ops::Isa::kAmx};
constexpr int kSkipped = 77;

int print_levels() {
  std::string below, lacking;
  for (const ops::Isa level : kLevels) {
    std::string& list = level < ops::isa() ? below : lacking;
    if (level != ops::isa()) list += fmt::format(" {}", ops::isa_name(level));
  }
  fmt::print("instructions: {} (all tests);{} (again, what depends on them); lacking here:{}\n",
             ops::isa_name(ops::isa()), below.empty() ? " none" : below,
             lacking.empty() ? " none" : lacking);
  return 0;
}

int run(std::string_view name, char** command) {
  for (const ops::Isa level : kLevels) {
    if (name != ops::isa_name(level)) continue;
    if (level >= ops::isa()) {
      // As GoogleTest says it, for scripts/test.
      fmt::print("tests/isa.cc: Skipped\n{}: {}\n", name,
                 level == ops::isa() ? "all tests run with it" : "this CPU lacks it");
      return kSkipped;
    }
    setenv("ONEDNN_MAX_CPU_ISA", ops::isa_name(level), 1);
    execv(command[0], command);
    fmt::print(stderr, "evo_isa: {} does not start\n", command[0]);
    return 1;
  }
  fmt::print(stderr,
             "evo_isa: {}: expected AVX2, AVX512_CORE, AVX512_CORE_BF16 or "
             "AVX512_CORE_AMX\n",
             name);
  return 2;
}

}  // namespace
}  // namespace evo

int main(int argc, char** argv) {
  if (argc == 1) return evo::print_levels();
  if (argc == 2) {
    fmt::print(stderr, "usage: evo_isa [LEVEL COMMAND [ARGUMENT...]]\n");
    return 2;
  }
  return evo::run(argv[1], argv + 2);
}
