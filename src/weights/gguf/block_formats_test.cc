// Against what the package gguf computes (reference/gguf_golden.py).
#include "weights/gguf/block_formats.h"

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "base/float_formats.h"
#include "base/random.h"
#include "base/testing.h"

namespace evo::weights {
namespace {

constexpr int64_t kBlocks = 64;

struct Golden {
  const char* format;
  uint64_t hash;
};
constexpr Golden kRead[] = {
    {"F64", 0x46d774198200eae5},    {"F32", 0xe1c4ddc44e477efd},    {"F16", 0x876e9682c4e6f8e3},
    {"BF16", 0x9613adcbc0c130c7},   {"Q8_0", 0xed59c339c28ecb26},   {"Q6_K", 0x538fd095d029b7f6},
    {"Q5_1", 0x874322f6367198ad},   {"Q5_0", 0xba2f84f263e5ad68},   {"Q5_K", 0xd1080b1e11d2fd36},
    {"Q4_1", 0x146c027c6b2f45e8},   {"Q4_0", 0x9fde8cdf48a5efef},   {"Q4_K", 0x743e21a1a8460ceb},
    {"IQ4_NL", 0x8399c8b9d6aba501}, {"IQ4_XS", 0x93ca42acac236026}, {"MXFP4", 0xca0dcda6ebc0fe8e},
    {"Q3_K", 0x8f48ee7e669f8e87},   {"Q2_K", 0xf229756f343cad20},
};
constexpr Golden kWritten[] = {
    {"F16", 0x2068fddc4ea4b074}, {"BF16", 0xa6a8bb647affb68f}, {"Q8_0", 0xbe3b757b9660e7dd}};

/// Where the f16 scales are in a block; what they may be there keeps the weights finite.
std::vector<size_t> scales_of(std::string_view format) {
  if (format == "Q6_K") return {208};
  if (format == "Q3_K") return {108};
  if (format == "Q2_K") return {80, 82};
  if (format.ends_with("_1") || format == "Q5_K" || format == "Q4_K") return {0, 2};
  if (format.starts_with("Q") || format.starts_with("IQ")) return {0};
  return {};
}

std::vector<uint8_t> random_bytes(size_t count, uint64_t seed) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(seed >> 56);
  }
  return bytes;
}

std::vector<uint8_t> random_blocks(const BlockFormat& format) {
  const auto size = static_cast<size_t>(format.block_bytes);
  std::vector<uint8_t> bytes = random_bytes(kBlocks * size, format.id + 1);
  for (size_t at = 0; at < bytes.size(); at += size) {
    for (const size_t scale : scales_of(format.name)) bytes[at + scale + 1] &= 0xBF;
    if (format.weights == 1) bytes[at + size - 1] &= 0xBF;
    if (format.name == "MXFP4") bytes[at] = static_cast<uint8_t>(100 + bytes[at] % 50);
  }
  return bytes;
}

uint64_t hash_of(std::span<const std::byte> bytes) {
  uint64_t value = 14695981039346656037u;
  for (const std::byte byte : bytes) {
    value = (value ^ static_cast<uint64_t>(byte)) * 1099511628211u;
  }
  return value;
}

TEST(BlockFormats, AreReadAsTheReferenceReadsThem) {
  EXPECT_EQ(std::size(kRead), block_formats().size());
  for (const Golden& golden : kRead) {
    const BlockFormat& format = *find_block_format(golden.format);
    const std::vector<uint8_t> blocks = random_blocks(format);
    std::vector<float> weights(static_cast<size_t>(kBlocks * format.weights));
    format.read(blocks.data(), kBlocks, weights.data());
    EXPECT_EQ(hash_of(std::as_bytes(std::span(weights))), golden.hash) << golden.format;
  }
}

TEST(BlockFormats, AreWrittenAsTheReferenceWritesThem) {
  const std::vector<uint8_t> bytes = random_bytes(8192, 1);
  std::vector<float> weights(4096);
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<float>(static_cast<int16_t>(read_u16(&bytes[2 * i]))) / 8192;
  }
  for (const Golden& golden : kWritten) {
    const BlockFormat& format = *find_block_format(golden.format);
    const int64_t blocks = std::ssize(weights) / format.weights;
    std::vector<uint8_t> out(static_cast<size_t>(blocks * format.block_bytes));
    format.write(weights.data(), blocks, out.data());
    EXPECT_EQ(hash_of(std::as_bytes(std::span(out))), golden.hash) << golden.format;
  }
}

/// What packs groups counts on it.
TEST(BlockFormats, GroupsFollowTheirFormat) {
  for (const BlockFormat& format : block_formats()) {
    if (format.read_groups == nullptr) continue;
    SCOPED_TRACE(format.name);
    const GroupFormat& says = format.groups;
    const int64_t of_block = format.weights / kGroupInputs;
    const std::vector<uint8_t> blocks = random_blocks(format);
    std::vector<WeightGroup> groups(static_cast<size_t>(kBlocks * of_block));
    format.read_groups(blocks.data(), kBlocks, groups.data());
    const auto least = static_cast<int8_t>(says.bits == 8 ? -128 : -says.offset);
    const auto most = static_cast<int8_t>(says.bits == 8 ? 127 : 15 - says.offset);
    for (size_t g = 0; g < groups.size(); ++g) {
      const WeightGroup &group = groups[g], &first = groups[g / of_block * of_block];
      for (const int8_t value : group.values) ASSERT_TRUE(least <= value && value <= most);
      if (!says.minimum) {
        ASSERT_EQ(group.minimum, 0);
      }
      if (says.parts == 1) {
        ASSERT_EQ(group.scale_factors[0], group.scale_factors[1]);
        ASSERT_EQ(group.minimum_factors[0], group.minimum_factors[1]);
      }
      ASSERT_EQ(group.scale, first.scale);
      ASSERT_EQ(group.minimum, first.minimum);
      if (says.factors) continue;
      ASSERT_EQ(group.scale_factors[0], 1);
      ASSERT_EQ(group.minimum_factors[0], 1);
    }
  }
}

/// The squared error of weights in a format.
double error_of(const BlockFormat& format, const std::vector<float>& weights) {
  const int64_t blocks = std::ssize(weights) / format.weights;
  std::vector<uint8_t> out(static_cast<size_t>(blocks * format.block_bytes));
  std::vector<float> back(weights.size());
  format.write(weights.data(), blocks, out.data());
  format.read(out.data(), blocks, back.data());
  double error = 0;
  for (size_t i = 0; i < weights.size(); ++i)
    error += std::pow(static_cast<double>(weights[i]) - back[i], 2);
  return error / static_cast<double>(weights.size());
}

TEST(BlockFormats, FourBitsAreWrittenWithLittleError) {
  const BlockFormat &whole = *find_block_format("Q4_1"), &factors = *find_block_format("Q4_K");
  std::vector<float> grid(kSuperBlock), normal(64 * kSuperBlock);
  for (size_t i = 0; i < grid.size(); ++i) grid[i] = 0.125f * static_cast<float>(i % 16) - 1;
  EXPECT_EQ(error_of(whole, grid), 0);
  EXPECT_LT(error_of(factors, grid), 1e-5);  // 1 / 63 is none of f16
  Random(4).fill_normal(normal);
  // Steps of all 16 numbers over about four deviations would have 0.006; 6 bits lose a little.
  const double error = error_of(whole, normal);
  EXPECT_LT(error, 0.006);
  EXPECT_LT(error_of(factors, normal), 1.15 * error);
  // Where none is below 0 there is no minimum to take away.
  for (float& value : normal) value = std::abs(value) + 1;
  EXPECT_LT(error_of(factors, normal), 0.1);
}

TEST(BlockFormats, BlocksAreIndependent) {
  for (const BlockFormat& format : block_formats()) {
    const std::vector<uint8_t> blocks = random_blocks(format);
    std::vector<float> all(static_cast<size_t>(kBlocks * format.weights)), one(all.size());
    format.read(blocks.data(), kBlocks, all.data());
    for (int64_t i = kBlocks - 1; i >= 0; --i)
      format.read(&blocks[static_cast<size_t>(i * format.block_bytes)], 1,
                  &one[static_cast<size_t>(i * format.weights)]);
    EXPECT_EQ(all, one) << format.name;
  }
}

TEST(BlockFormats, NumbersAndNamesAreUnique) {
  std::set<uint32_t> ids;
  std::set<std::string_view> names;
  for (const BlockFormat& format : block_formats()) {
    EXPECT_TRUE(ids.insert(format.id).second && names.insert(format.name).second) << format.name;
    EXPECT_EQ(find_block_format(format.id), &format);
    EXPECT_EQ(find_block_format(format.name), &format);
  }
  EXPECT_EQ(find_block_format(uint32_t{999}), nullptr);
}

}  // namespace
}  // namespace evo::weights
