#include "weights/quantized/scaled_matrix.h"

#include <cmath>

#include "weights/quantized/testing.h"

namespace evo::weights {
namespace {

using testing::codes;
using testing::compressed;
using testing::expect_error;
using testing::expect_refused;
using testing::f32;
using testing::i32;
using testing::names_in;
using testing::QuantizedModel;
using testing::RawArray;
using testing::RawArrays;
using testing::Shape;
using testing::values_of;

constexpr const char* kFp8 = R"({"quant_method": "fp8", "weight_block_size": [2, 3]})";
// In E4M3: 1, 2, -1, 1.5, 448 and the smallest number.
constexpr uint8_t kOne = 0x38, kTwo = 0x40, kMinusOne = 0xB8, kHalfMore = 0x3C, kMost = 0x7E,
                  kLeast = 0x01, kNan = 0x7F;

RawArrays fp8_arrays() {
  return {{"x.weight", codes("F8_E4M3", {3, 4},
                             {kOne, kTwo, kOne, kTwo, kOne, kTwo, kMinusOne, kTwo, kHalfMore, kMost,
                              kLeast, kOne})},
          {"x.weight_scale_inv", f32({2, 2}, {10, 20, 30, 40})},
          {"x.activation_scale", f32({}, {5})},
          {"norm.weight", f32({2}, {1, 2})}};
}

TEST(QuantizedFolder, Fp8InBlocksOfWhichTheLastAreSmaller) {
  const QuantizedModel folder(fp8_arrays(), kFp8);
  const auto source = folder.open();
  EXPECT_EQ(values_of(*source, "x.weight"),
            (std::vector<float>{10, 20, 10, 40, 10, 20, -10, 40, 45, 30 * 448, 30 * 0x1p-9f, 40}));
  EXPECT_EQ(values_of(*source, "norm.weight"), (std::vector<float>{1, 2}));
  EXPECT_EQ(source->find("x.weight")->dtype, "F8_E4M3");
  EXPECT_EQ(source->find("x.weight_scale_inv"), nullptr);
  EXPECT_EQ(names_in(*source), (std::vector<std::string>{"norm.weight", "x.weight"}));
  std::vector<uint16_t> bits(12);
  expect_error([&] { source->read_bf16("x.weight", {3, 4}, bits); }, {"F8_E4M3", "expected BF16"});
  std::vector<float> values(12);
  expect_error([&] { source->read_f32("x.weight", {4, 3}, values); }, {"[3, 4]", "[4, 3]"});
}

TEST(QuantizedFolder, Fp8WithOneScaleForAll) {
  RawArrays arrays = fp8_arrays();
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
    arrays["x.weight_scale_inv"] = f32(shape, {2});
    const QuantizedModel folder(arrays, R"({"quant_method": "fp8", "weight_block_size": null})");
    EXPECT_EQ(values_of(*folder.open(), "x.weight")[9], 896);
  }
}

// The block is then 128 by 128, as transformers has it.
TEST(QuantizedFolder, Fp8WithoutASize) {
  const RawArrays arrays = {
      {"x.weight", codes("F8_E4M3", {2, 200}, std::vector<uint8_t>(400, kOne))},
      {"x.weight_scale_inv", f32({1, 2}, {3, 7})}};
  const QuantizedModel folder(arrays, R"({"quant_method": "fp8"})");
  const std::vector<float> values = values_of(*folder.open(), "x.weight");
  EXPECT_EQ(values[127], 3);
  EXPECT_EQ(values[128], 7);
  EXPECT_EQ(values[327], 3);
}

TEST(QuantizedFolder, Fp8ThatIsWrong) {
  RawArrays arrays = fp8_arrays();
  arrays.erase("x.weight_scale_inv");
  expect_refused(arrays, kFp8, {"x.weight is F8_E4M3", "no array x.weight_scale_inv"});
  arrays = fp8_arrays();
  arrays["x.weight_scale_inv"] = f32({2, 1}, {1, 2});
  expect_refused(arrays, kFp8, {"x.weight_scale_inv has shape [2, 1], expected [2, 2]"});
  arrays = fp8_arrays();
  arrays["x.weight"].shape = {12};
  expect_refused(arrays, kFp8, {"x.weight", "[12]", "expected a matrix"});
  arrays["x.weight"] = codes("F8_E4M3", {0, 4}, {});
  expect_refused(arrays, kFp8, {"x.weight", "[0, 4]", "expected a matrix"});
  arrays = fp8_arrays();
  arrays["x.weight_scale_inv"] = i32({2, 2}, {1, 2, 3, 4});
  const QuantizedModel of_words(arrays, kFp8);
  expect_error([&] { values_of(*of_words.open(), "x.weight"); }, {"x.weight_scale_inv is I32"});
  arrays = fp8_arrays();
  arrays["x.weight"].bytes[5] = kNan;  // which whoever reads parameters refuses
  const QuantizedModel folder(arrays, kFp8);
  EXPECT_TRUE(std::isnan(values_of(*folder.open(), "x.weight")[5]));
}

TEST(QuantizedFolder, CompressedTensors) {
  const std::string channel = compressed(R"({"num_bits": 8, "strategy": "channel"})");
  RawArrays arrays = {{"x.weight", codes("F8_E4M3", {2, 2}, {kOne, kTwo, kOne, kMinusOne})},
                      {"x.weight_scale", f32({2, 1}, {10, 20})},
                      {"x.input_scale", f32({1}, {5})}};
  const std::vector<float> expected = {10, 20, 20, -20};
  EXPECT_EQ(values_of(*QuantizedModel(arrays, channel).open(), "x.weight"), expected);
  EXPECT_EQ(names_in(*QuantizedModel(arrays, channel).open()),
            std::vector<std::string>{"x.weight"});
  arrays["x.weight_scale"].shape = {2};
  EXPECT_EQ(values_of(*QuantizedModel(arrays, channel).open(), "x.weight"), expected);
  arrays["x.weight"] = codes("I8", {2, 2}, {127, 2, 1, 0x80});
  EXPECT_EQ(values_of(*QuantizedModel(arrays, channel).open(), "x.weight"),
            (std::vector<float>{1270, 20, 20, -2560}));
  arrays["x.weight_scale"] = f32({1, 2}, {10, 20});
  expect_refused(arrays, channel, {"x.weight_scale has shape [1, 2], expected [2, 1]"});
  const std::string blocks =
      compressed(R"({"num_bits": 8, "strategy": "block", "block_structure": [2, 1]})");
  EXPECT_EQ(values_of(*QuantizedModel(arrays, blocks).open(), "x.weight"),
            (std::vector<float>{1270, 40, 10, -2560}));
}

constexpr const char* kAsymmetric =
    R"({"num_bits": 8, "strategy": "group", "group_size": 2, "symmetric": false})";

TEST(ScaledMatrix, BytesWithZeroPointsOfGroups) {
  RawArrays arrays = {{"x.weight", codes("I8", {2, 4}, {0, 1, 2, 3, 0x80, 0x7F, 5, 6})},
                      {"x.weight_scale", f32({2, 2}, {1, 10, 100, 1000})},
                      {"x.weight_zero_point", codes("I8", {2, 2}, {0xFF, 2, 0, 0x80})}};
  const std::string how = compressed(kAsymmetric, "int-quantized");
  EXPECT_EQ(values_of(*QuantizedModel(arrays, how).open(), "x.weight"),
            (std::vector<float>{1, 2, 0, 10, -12800, 12700, 133000, 134000}));
  EXPECT_EQ(names_in(*QuantizedModel(arrays, how).open()), std::vector<std::string>{"x.weight"});
  arrays["x.weight_zero_point"].shape = {4, 1};
  expect_refused(arrays, how, {"x.weight_zero_point has shape [4, 1], expected [2, 2]"});
  arrays["x.weight_zero_point"] = i32({2, 2}, {0, 0, 0, 0});
  expect_refused(arrays, how, {"x.weight_zero_point is I32, expected I8"});
  arrays.erase("x.weight_zero_point");
  expect_refused(arrays, how, {"no array x.weight_zero_point", "[2, 2]"});
}

std::string packed(const std::string& weights) {
  return compressed(weights, "pack-quantized");
}
constexpr const char* kGroupsOf5 = R"({"num_bits": 4, "strategy": "group", "group_size": 5})";
constexpr const char* kZerosOfGroups =
    R"({"num_bits": 4, "strategy": "group", "group_size": 5, "symmetric": false})";
constexpr uint32_t kCountingUp = 0x76543210, kCountingDown = 0x89ABCDEF;

/// [2 outputs, 10 inputs]: codes 0 to 7, 1, 0, and 15 to 8, 14, 15.
RawArrays arrays_in_words() {
  return {{"x.weight_packed", i32({2, 2}, {kCountingUp, 0x01, kCountingDown, 0xFE})},
          {"x.weight_shape", {"I64", {2}, testing::bytes_of(Shape{2, 10})}},
          {"x.weight_scale", f32({2, 2}, {1, 10, 100, 1000})}};
}

TEST(ScaledMatrix, FourBitsInWords) {
  const auto model = QuantizedModel(arrays_in_words(), packed(kGroupsOf5));
  const auto source = model.open();
  EXPECT_EQ(source->find("x.weight")->shape, (Shape{2, 10}));
  EXPECT_EQ(source->find("x.weight")->dtype, "I4");
  EXPECT_EQ(values_of(*source, "x.weight"),
            (std::vector<float>{-8,  -7,  -6,  -5,  -4,  -30,  -20,  -10, -70,  -80,
                                700, 600, 500, 400, 300, 2000, 1000, 0,   6000, 7000}));
  EXPECT_EQ(names_in(*source), std::vector<std::string>{"x.weight"});
  RawArrays arrays = arrays_in_words();
  arrays["x.weight_shape"] = i32({2}, {2, 9});  // the word's rest is no number
  arrays["x.weight_scale"] = f32({1}, {2});
  const std::vector<float> values =
      values_of(*QuantizedModel(arrays, packed(R"({"num_bits": 4, "strategy": "tensor"})")).open(),
                "x.weight");
  EXPECT_EQ(values.size(), 18);
  EXPECT_EQ(values[8], -14);
  EXPECT_EQ(values[9], 14);
}

// Outputs' zeros are neighbours in words as inputs' numbers are; the code 8 is 0.
TEST(ScaledMatrix, ZeroPointsInWords) {
  RawArrays arrays = arrays_in_words();
  arrays["x.weight_zero_point"] = i32({1, 2}, {0x80, 0xF9});
  const std::string how = packed(kZerosOfGroups);
  EXPECT_EQ(values_of(*QuantizedModel(arrays, how).open(), "x.weight"),
            (std::vector<float>{0,   1,   2,   3,   4,   -40,   -30,   -20,   -80,   -90,
                                700, 600, 500, 400, 300, -5000, -6000, -7000, -1000, 0}));
  EXPECT_EQ(names_in(*QuantizedModel(arrays, how).open()), std::vector<std::string>{"x.weight"});
  arrays["x.weight_zero_point"] = codes("I8", {2, 2}, {0xF8, 1, 0, 7});
  EXPECT_EQ(values_of(*QuantizedModel(arrays, how).open(), "x.weight"),
            (std::vector<float>{0,   1,   2,   3,   4,   -40,   -30,   -20,   -80,   -90,
                                700, 600, 500, 400, 300, -5000, -6000, -7000, -1000, 0}));
}

TEST(ScaledMatrix, EightBitsInWordsWithAZeroForEachOutput) {
  const RawArrays arrays = {{"x.weight_packed", i32({5, 1}, {0x00FF8081, 0, 1, 2, 3})},
                            {"x.weight_shape", i32({2}, {5, 3})},
                            {"x.weight_scale", f32({5, 1}, {2, 3, 5, 7, 11})},
                            {"x.weight_zero_point", i32({2, 1}, {0x00010280, 0x7F})}};
  const std::string how =
      packed(R"({"num_bits": 8, "group_size": -1, "symmetric": false, "type": "int"})");
  EXPECT_EQ(values_of(*QuantizedModel(arrays, how).open(), "x.weight"),
            (std::vector<float>{2, 0, 254, -6, -6, -6, 0, -5, -5, 14, 14 - 14, 0, -124 * 11,
                                -127 * 11, -127 * 11}));
}

TEST(ScaledMatrix, WordsInAnotherOrderOfInputs) {
  RawArrays arrays = arrays_in_words();
  std::vector<uint32_t> order = {1, 0, 1, 0, 1, 0, 1, 0, 1, 0};
  const std::string how =
      packed(R"({"num_bits": 4, "strategy": "group", "group_size": 5, "actorder": "group"})");
  expect_refused(arrays, how, {"no array x.weight_g_idx", "[10]"});
  arrays["x.weight_g_idx"] = i32({10}, order);
  EXPECT_EQ(values_of(*QuantizedModel(arrays, how).open(), "x.weight"),
            (std::vector<float>{-80,  -7,  -60,  -5,  -40,  -3,  -20,  -1, -70,  -8,
                                7000, 600, 5000, 400, 3000, 200, 1000, 0,  6000, 700}));
  EXPECT_EQ(names_in(*QuantizedModel(arrays, how).open()), std::vector<std::string>{"x.weight"});
  order[3] = 2;
  arrays["x.weight_g_idx"] = i32({10}, order);
  const QuantizedModel wrong(arrays, how);
  expect_error([&] { values_of(*wrong.open(), "x.weight"); },
               {"x.weight_g_idx puts input 3 into group 2", "there are 2"});
  order[7] = 0xFFFFFFFF;  // no order after all
  arrays["x.weight_g_idx"] = i32({10}, order);
  EXPECT_EQ(values_of(*QuantizedModel(arrays, how).open(), "x.weight"),
            values_of(*QuantizedModel(arrays_in_words(), packed(kGroupsOf5)).open(), "x.weight"));
}

TEST(ScaledMatrix, WordsThatAreWrong) {
  const std::string how = packed(kGroupsOf5);
  const auto with = [&](const std::string& name, RawArray array) {
    RawArrays arrays = arrays_in_words();
    arrays[name] = std::move(array);
    return arrays;
  };
  const auto with_shape = [&](Shape shape) {
    return with("x.weight_shape", {"I64", {2}, testing::bytes_of(shape)});
  };
  for (const char* part : {"x.weight_shape", "x.weight_scale"}) {
    RawArrays arrays = arrays_in_words();
    arrays.erase(part);
    expect_refused(arrays, how, {"there is no array", part});
  }
  expect_refused(with_shape({2, 17}), how, {"x.weight_packed has shape [2, 2], expected [2, 3]"});
  expect_refused(with_shape({3, 10}), how, {"x.weight_packed has shape [2, 2], expected [3, 2]"});
  expect_refused(with_shape({2, -1}), how, {"shape [2, -1], expected a matrix"});
  expect_refused(with_shape({2, int64_t{1} << 62}), how, {"x.weight_packed", "too large"});
  expect_refused(with_shape({2, 12}), how,
                 {"x.weight_packed is of 12 inputs, expected a multiple of group_size, 5"});
  expect_refused(with("x.weight_shape", f32({2}, {2, 10})), how,
                 {"x.weight_shape is F32, expected I64"});
  expect_refused(with("x.weight_packed", f32({2, 2}, {0, 0, 0, 0})), how,
                 {"x.weight_packed is F32, expected I32"});
  expect_refused(with("x.weight_scale", f32({2, 1}, {1, 2})), how,
                 {"x.weight_scale has shape [2, 1], expected [2, 2]"});
  expect_refused(with("x.weight_zero_point", i32({1, 2}, {0, 0})), how,
                 {"x.weight_zero_point has shape [1, 2], expected [2, 2]"});
  expect_refused(with("x.weight_zero_point", i32({2, 2}, {0, 0, 0, 0})), packed(kZerosOfGroups),
                 {"x.weight_zero_point has shape [2, 2], expected [1, 2]"});
  expect_refused(with("x.weight", f32({1}, {0})), how, {"both x.weight and x.weight_packed"});
}

}  // namespace
}  // namespace evo::weights
