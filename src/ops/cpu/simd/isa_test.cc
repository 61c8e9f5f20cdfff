// With all targets that the operations have.
#define HWY_WANT_AVX3_DL

#include "ops/machine.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdlib>
#include <string_view>

#include "ops/cpu/formats/bf16/bf16_product.h"

namespace evo::ops {
namespace {

/// What holds at every level; cmake/isa.cmake runs this at all that the CPU has.
TEST(Isa, LimitsEveryKindOfKernel) {
#if defined(__x86_64__)
  const int64_t targets = hwy::SupportedTargets();
  EXPECT_TRUE(isa() >= Isa::kAvx2 || (targets & HWY_AVX2) == 0);
  EXPECT_TRUE(isa() >= Isa::kAvx512 || (targets & HWY_AVX3) == 0);
  EXPECT_TRUE(isa() >= Isa::kAvx512Vnni || (targets & HWY_AVX3_DL) == 0);
#endif
  EXPECT_EQ(has_bf16_kernel(BF16Kernel::kTiles), isa() == Isa::kAmx);
  EXPECT_TRUE(isa() >= Isa::kAvx512BF16 || !has_bf16_kernel(BF16Kernel::kDots));
  EXPECT_TRUE(has_bf16_kernel(BF16Kernel::kWidened));
}

TEST(Isa, IsNoMoreThanTheEnvironmentAllows) {
  const char* limit = std::getenv("ONEDNN_MAX_CPU_ISA");
  for (const Isa level : {Isa::kAvx2, Isa::kAvx512, Isa::kAvx512BF16, Isa::kAmx}) {
    const bool is_limit = limit != nullptr && std::string_view(limit) == isa_name(level);
    EXPECT_TRUE(!is_limit || isa() <= level) << limit;
  }
}

}  // namespace
}  // namespace evo::ops
