#include "weights/quantized/quantized_folder.h"

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

constexpr uint32_t kCounting = 0x76543210;  // codes 0 to 7 from the lowest bits on

/// [8 outputs, 16 inputs] in groups of 8 inputs; group g and output o have the scale 1 + 100 g + o.
RawArrays packed_arrays(const Shape& words, uint32_t zeros) {
  std::vector<float> scales;
  for (int i = 0; i < 16; ++i) {
    const int scale = 1 + i / 8 * 100 + i % 8;
    scales.push_back(static_cast<float>(scale));
  }
  return {{"x.qweight", i32(words, std::vector<uint32_t>(16, kCounting))},
          {"x.qzeros", i32({2, 1}, {zeros, zeros})},
          {"x.scales", f32({2, 8}, scales)}};
}

constexpr const char* kGptq = R"({"quant_method": "gptq", "bits": 4, "group_size": 8})";
constexpr const char* kGptq2 =
    R"({"quant_method": "gptq", "bits": 4, "group_size": 8, "checkpoint_format": "gptq_v2"})";
constexpr const char* kAwq = R"({"quant_method": "awq", "bits": 4, "group_size": 8})";

TEST(QuantizedFolder, Gptq) {
  // In the first form 1 is taken off the word 0x...88: code 8, the middle.
  for (const auto& [how, zeros] : {std::pair(kGptq, 0x77777777u), std::pair(kGptq2, 0x88888888u)}) {
    const QuantizedModel folder(packed_arrays({2, 8}, zeros), how);
    const auto source = folder.open();
    ASSERT_EQ(source->find("x.weight")->shape, (Shape{8, 16}));
    EXPECT_EQ(source->find("x.weight")->dtype, "GPTQ");
    const std::vector<float> values = values_of(*source, "x.weight");
    for (int o = 0; o < 8; ++o) {
      for (int i = 0; i < 16; ++i) {
        const int scale = 1 + i / 8 * 100 + o;
        EXPECT_EQ(values[o * 16 + i], static_cast<float>(scale * (i % 8 - 8)));
      }
    }
    EXPECT_EQ(names_in(*source), std::vector<std::string>{"x.weight"});
  }
}

// Whoever took 1 off the whole word borrowed from the next number where one was 0.
TEST(QuantizedFolder, GptqZerosThatBorrowed) {
  const uint32_t meant = 0x80000F01;
  const QuantizedModel folder(packed_arrays({2, 8}, meant - 0x11111111), kGptq);
  const std::vector<float> values = values_of(*folder.open(), "x.weight");
  for (int o = 0; o < 8; ++o) {
    const auto zero = static_cast<int>(meant >> (4 * o) & 0xF);
    EXPECT_EQ(values[o * 16 + 5], static_cast<float>((1 + o) * (5 - zero))) << o;
  }
}

TEST(QuantizedFolder, GptqInAnotherOrderOfInputs) {
  RawArrays arrays = packed_arrays({2, 8}, 0);
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < 16; ++i) order.push_back(i % 2);
  arrays["x.g_idx"] = i32({16}, order);
  const std::vector<float> values = values_of(*QuantizedModel(arrays, kGptq2).open(), "x.weight");
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(values[3 * 16 + i], static_cast<float>((4 + i % 2 * 100) * (i % 8))) << i;
  for (const uint32_t wrong : {2u, 0xFFFFFFFFu}) {
    order[9] = wrong;
    arrays["x.g_idx"] = i32({16}, order);
    const QuantizedModel folder(arrays, kGptq2);
    expect_error([&] { values_of(*folder.open(), "x.weight"); },
                 {"x.g_idx puts input 9 into group", "there are 2"});
  }
}

TEST(QuantizedFolder, Gptq8BitsWithOneGroup) {
  RawArrays arrays = {{"x.qweight", i32({1, 4}, {0x04030201, 0, 0, 0xFFFFFFFF})},
                      {"x.qzeros", i32({1, 1}, {0x80808080 - 0x01010101})},
                      {"x.scales", f32({1, 4}, {1, 2, 3, 4})}};
  const QuantizedModel folder(arrays, R"({"quant_method": "gptq", "bits": 8, "group_size": -1})");
  EXPECT_EQ(values_of(*folder.open(), "x.weight"),
            (std::vector<float>{-127, -126, -125, -124, -256, -256, -256, -256, -384, -384, -384,
                                -384, 508, 508, 508, 508}));
}

TEST(QuantizedFolder, AwqHasOutputsInAnOrderOfItsOwn) {
  const QuantizedModel folder(packed_arrays({16, 1}, 0x76543210), kAwq);
  const std::vector<float> values = values_of(*folder.open(), "x.weight");
  EXPECT_EQ(values, std::vector<float>(128, 0));  // codes and zeros are in one order
  const QuantizedModel plain(packed_arrays({16, 1}, 0), kAwq);
  const std::vector<float> codes = values_of(*plain.open(), "x.weight");
  constexpr std::array kCodes = {0, 4, 1, 5, 2, 6, 3, 7};  // 0 2 4 6 1 3 5 7 undone
  for (int o = 0; o < 8; ++o) {
    EXPECT_EQ(codes[o * 16], static_cast<float>((1 + o) * kCodes[o]));
    EXPECT_EQ(codes[o * 16 + 15], static_cast<float>((101 + o) * kCodes[o]));
  }
}

TEST(QuantizedFolder, BiasesOfZerosNeedNoPlace) {
  RawArrays arrays = packed_arrays({2, 8}, 0);
  arrays["x.bias"] = f32({2}, {0, 0});
  arrays["y.bias"] = f32({2}, {0, 0});  // of no such matrix
  const QuantizedModel zeros(arrays, kGptq);
  EXPECT_EQ(names_in(*zeros.open()), (std::vector<std::string>{"x.weight", "y.bias"}));
  EXPECT_EQ(values_of(*zeros.open(), "x.bias"), (std::vector<float>{0, 0}));
  arrays["x.bias"] = f32({2}, {0, 1});
  EXPECT_EQ(names_in(*QuantizedModel(arrays, kGptq).open()),
            (std::vector<std::string>{"x.bias", "x.weight", "y.bias"}));
}

TEST(QuantizedFolder, PackedThatIsWrong) {
  const RawArrays right = packed_arrays({2, 8}, 0);
  const auto with = [&](const std::string& name, RawArray array) {
    RawArrays arrays = right;
    arrays[name] = std::move(array);
    return arrays;
  };
  for (const char* part : {"x.qzeros", "x.scales"}) {
    RawArrays arrays = right;
    arrays.erase(part);
    expect_refused(arrays, kGptq, {"there is no array", part});
  }
  expect_refused(with("x.qzeros", i32({1, 2}, {0, 0})), kGptq,
                 {"x.qzeros has shape [1, 2], expected [2, 1]"});
  expect_refused(with("x.qzeros", f32({2, 1}, {0, 0})), kGptq, {"x.qzeros is F32, expected I32"});
  expect_refused(with("x.scales", f32({8}, std::vector<float>(8))), kGptq,
                 {"x.scales has shape [8], expected [2, 8]"});
  expect_refused(with("x.qweight", i32({16}, std::vector<uint32_t>(16))), kGptq,
                 {"x.qweight has shape [16], expected a matrix"});
  expect_refused(with("x.qweight", i32({4, 4}, std::vector<uint32_t>(16))), kGptq,
                 {"x.qweight is of 4 outputs, expected a multiple of 8"});
  expect_refused(with("x.qweight", i32({0, 8}, {})), kGptq, {"x.qweight", "expected a matrix"});
  expect_refused(with("x.g_idx", i32({2}, {0, 0})), kGptq,
                 {"x.g_idx has shape [2], expected [16]"});
  expect_refused(with("x.weight", f32({1}, {0})), kGptq, {"both x.weight and x.qweight"});
  expect_refused(right, R"({"quant_method": "gptq", "bits": 4, "group_size": 8, "desc_act": true})",
                 {"there is no array x.g_idx"});
  expect_refused(packed_arrays({16, 1}, 0),
                 R"({"quant_method": "awq", "bits": 4, "group_size": 5})",
                 {"x.qweight is of 16 inputs, expected a multiple of group_size, 5"});
}

TEST(Quantization, WhatIsNotRead) {
  const std::pair<std::string, std::string_view> wrong[] = {
      {R"({"bits": 4})", "quant_method is nothing"},
      {R"({"quant_method": "bitsandbytes"})", "quant_method is bitsandbytes"},
      {R"({"quant_method": "fp8", "fmt": "e5m2"})", "fmt is e5m2"},
      {R"({"quant_method": "fp8", "weight_block_size": [128]})", "weight_block_size is [128]"},
      {R"({"quant_method": "fp8", "weight_block_size": [0, 1]})", "two positive numbers"},
      {R"({"quant_method": "gptq", "bits": 3})", "bits is 3"},
      {R"({"quant_method": "gptq"})", "bits"},
      {R"({"quant_method": "gptq", "bits": 4, "group_size": 0})", "group_size is 0"},
      {R"({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"})", "is marlin"},
      {R"({"quant_method": "gptq", "bits": 4, "is_marlin_format": true})", "is_marlin_format"},
      {R"({"quant_method": "gptq", "bits": 4, "pack_dtype": "int64"})", "pack_dtype is int64"},
      {R"({"quant_method": "awq", "bits": 8})", "bits is 8"},
      {R"({"quant_method": "awq", "version": "GEMV"})", "version is gemv"},
      {R"({"quant_method": "awq", "backend": "llm-awq"})", "llm-awq"},
      {compressed(R"({"num_bits": 4, "type": "float"})"), "num_bits is 4"},
      {compressed(R"({"num_bits": 3})", "pack-quantized"), "num_bits is 3"},
      {compressed(R"({"num_bits": 8, "type": "float"})", "pack-quantized"), "type is float"},
      {compressed(R"({"num_bits": 8, "type": "float", "symmetric": false})"), "symmetric is false"},
      {compressed(R"({"num_bits": 8, "strategy": "group"})"), "group_size is 0"},
      {compressed(R"({"num_bits": 8, "strategy": "tensor_group"})"), "strategy is tensor_group"},
      {compressed(R"({"num_bits": 8, "group_size": 4, "actorder": "best"})"), "actorder is best"},
      {compressed(R"({"num_bits": 8, "actorder": "group"})"), "actorder is group"},
      {compressed(R"({"num_bits": 8})", "marlin-24"), "format is marlin-24"},
      {R"({"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {
           "a": {"weights": {"num_bits": 8}}, "b": {}, "c": {"weights": {"num_bits": 4}}}})",
       "c is different from those before"},
      {R"({"quant_method": "compressed-tensors", "format": "float-quantized"})", "config_groups"},
  };
  for (const auto& [text, part] : wrong) {
    expect_error([&, t = text] { (void)read_quantization(json::Record::parse(t, "config.json")); },
                 {"config.json", part});
  }
}

}  // namespace
}  // namespace evo::weights
