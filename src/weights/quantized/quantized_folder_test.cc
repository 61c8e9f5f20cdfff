#include "weights/quantized/quantized_folder.h"

#include <cmath>
#include <cstring>

#include "base/testing.h"

namespace evo::weights {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;
using testing::write_bytes;
using Shape = std::vector<int64_t>;

template <class Number>
std::string bytes_of(const std::vector<Number>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number)};
}

struct RawArray {
  std::string dtype;
  Shape shape;
  std::string bytes;
};
RawArray f32(Shape shape, const std::vector<float>& values) {
  return {"F32", std::move(shape), bytes_of(values)};
}
RawArray i32(Shape shape, const std::vector<uint32_t>& words) {
  return {"I32", std::move(shape), bytes_of(words)};
}
RawArray codes(std::string dtype, Shape shape, const std::vector<uint8_t>& values) {
  return {std::move(dtype), std::move(shape), bytes_of(values)};
}

using Arrays = std::map<std::string, RawArray>;

/// A folder of arrays of any type, and what config.json says of them.
class Folder {
 public:
  Folder(const Arrays& arrays, const std::string& quantization) {
    json::Record header;
    std::string data;
    for (const auto& [name, array] : arrays) {
      const auto begin = std::ssize(data);
      data += array.bytes;
      json::Record entry;
      entry.set("dtype", array.dtype).set("shape", array.shape);
      header.set(name, entry.set("data_offsets", Shape{begin, std::ssize(data)}));
    }
    const std::string text = header.dump();
    write_bytes(folder_ / "model.safetensors",
                bytes_of(std::vector<uint64_t>{text.size()}) + text + data);
    write_bytes(folder_ / "config.json", R"({"quantization_config": )" + quantization + "}");
  }
  [[nodiscard]] std::unique_ptr<const ArraySource> open() const {
    return open_arrays(folder_.path());
  }

 private:
  TemporaryFolder folder_;
};

std::vector<float> values_of(const ArraySource& source, const std::string& name) {
  const TensorInfo* const info = source.find(name);
  EXPECT_NE(info, nullptr) << name;
  std::vector<float> values(info == nullptr ? 0 : element_count(info->shape, name));
  if (info != nullptr) source.read_f32(name, info->shape, values);
  return values;
}

std::vector<std::string> names_in(const ArraySource& source) {
  std::vector<std::string> names;
  source.for_each([&](const TensorInfo& info) { names.push_back(info.name); });
  std::ranges::sort(names);
  return names;
}

void expect_refused(const Arrays& arrays, const std::string& quantization,
                    std::initializer_list<std::string_view> parts) {
  const Folder folder(arrays, quantization);
  expect_error([&] { (void)folder.open(); }, parts);
}

constexpr const char* kFp8 = R"({"quant_method": "fp8", "weight_block_size": [2, 3]})";
// In E4M3: 1, 2, -1, 1.5, 448 and the smallest number.
constexpr uint8_t kOne = 0x38, kTwo = 0x40, kMinusOne = 0xB8, kHalfMore = 0x3C, kMost = 0x7E,
                  kLeast = 0x01, kNan = 0x7F;

Arrays fp8_arrays() {
  return {{"x.weight", codes("F8_E4M3", {3, 4},
                             {kOne, kTwo, kOne, kTwo, kOne, kTwo, kMinusOne, kTwo, kHalfMore, kMost,
                              kLeast, kOne})},
          {"x.weight_scale_inv", f32({2, 2}, {10, 20, 30, 40})},
          {"x.activation_scale", f32({}, {5})},
          {"norm.weight", f32({2}, {1, 2})}};
}

TEST(QuantizedFolder, Fp8InBlocksOfWhichTheLastAreSmaller) {
  const Folder folder(fp8_arrays(), kFp8);
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
  Arrays arrays = fp8_arrays();
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
    arrays["x.weight_scale_inv"] = f32(shape, {2});
    const Folder folder(arrays, R"({"quant_method": "fp8", "weight_block_size": null})");
    EXPECT_EQ(values_of(*folder.open(), "x.weight")[9], 896);
  }
}

// The block is then 128 by 128, as transformers has it.
TEST(QuantizedFolder, Fp8WithoutASize) {
  const Arrays arrays = {{"x.weight", codes("F8_E4M3", {2, 200}, std::vector<uint8_t>(400, kOne))},
                         {"x.weight_scale_inv", f32({1, 2}, {3, 7})}};
  const Folder folder(arrays, R"({"quant_method": "fp8"})");
  const std::vector<float> values = values_of(*folder.open(), "x.weight");
  EXPECT_EQ(values[127], 3);
  EXPECT_EQ(values[128], 7);
  EXPECT_EQ(values[327], 3);
}

TEST(QuantizedFolder, Fp8ThatIsWrong) {
  Arrays arrays = fp8_arrays();
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
  const Folder of_words(arrays, kFp8);
  expect_error([&] { values_of(*of_words.open(), "x.weight"); }, {"x.weight_scale_inv is I32"});
  arrays = fp8_arrays();
  arrays["x.weight"].bytes[5] = kNan;  // which whoever reads parameters refuses
  const Folder folder(arrays, kFp8);
  EXPECT_TRUE(std::isnan(values_of(*folder.open(), "x.weight")[5]));
}

std::string compressed(const std::string& weights, const std::string& format = "float-quantized") {
  return R"({"quant_method": "compressed-tensors", "format": ")" + format +
         R"(", "config_groups": {"group_0": {"weights": )" + weights + "}}}";
}

TEST(QuantizedFolder, CompressedTensors) {
  const std::string channel = compressed(R"({"num_bits": 8, "strategy": "channel"})");
  Arrays arrays = {{"x.weight", codes("F8_E4M3", {2, 2}, {kOne, kTwo, kOne, kMinusOne})},
                   {"x.weight_scale", f32({2, 1}, {10, 20})},
                   {"x.input_scale", f32({1}, {5})}};
  const std::vector<float> expected = {10, 20, 20, -20};
  EXPECT_EQ(values_of(*Folder(arrays, channel).open(), "x.weight"), expected);
  EXPECT_EQ(names_in(*Folder(arrays, channel).open()), std::vector<std::string>{"x.weight"});
  arrays["x.weight_scale"].shape = {2};
  EXPECT_EQ(values_of(*Folder(arrays, channel).open(), "x.weight"), expected);
  arrays["x.weight"] = codes("I8", {2, 2}, {127, 2, 1, 0x80});
  EXPECT_EQ(values_of(*Folder(arrays, channel).open(), "x.weight"),
            (std::vector<float>{1270, 20, 20, -2560}));
  arrays["x.weight_scale"] = f32({1, 2}, {10, 20});
  expect_refused(arrays, channel, {"x.weight_scale has shape [1, 2], expected [2, 1]"});
  const std::string blocks =
      compressed(R"({"num_bits": 8, "strategy": "block", "block_structure": [2, 1]})");
  EXPECT_EQ(values_of(*Folder(arrays, blocks).open(), "x.weight"),
            (std::vector<float>{1270, 40, 10, -2560}));
}

constexpr uint32_t kCounting = 0x76543210;  // codes 0 to 7 from the lowest bits on

/// [8 outputs, 16 inputs] in groups of 8 inputs; group g and output o have the scale 1 + 100 g + o.
Arrays packed_arrays(const Shape& words, uint32_t zeros) {
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
    const Folder folder(packed_arrays({2, 8}, zeros), how);
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
  const Folder folder(packed_arrays({2, 8}, meant - 0x11111111), kGptq);
  const std::vector<float> values = values_of(*folder.open(), "x.weight");
  for (int o = 0; o < 8; ++o) {
    const auto zero = static_cast<int>(meant >> (4 * o) & 0xF);
    EXPECT_EQ(values[o * 16 + 5], static_cast<float>((1 + o) * (5 - zero))) << o;
  }
}

TEST(QuantizedFolder, GptqInAnotherOrderOfInputs) {
  Arrays arrays = packed_arrays({2, 8}, 0);
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < 16; ++i) order.push_back(i % 2);
  arrays["x.g_idx"] = i32({16}, order);
  const std::vector<float> values = values_of(*Folder(arrays, kGptq2).open(), "x.weight");
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(values[3 * 16 + i], static_cast<float>((4 + i % 2 * 100) * (i % 8))) << i;
  for (const uint32_t wrong : {2u, 0xFFFFFFFFu}) {
    order[9] = wrong;
    arrays["x.g_idx"] = i32({16}, order);
    const Folder folder(arrays, kGptq2);
    expect_error([&] { values_of(*folder.open(), "x.weight"); },
                 {"x.g_idx puts input 9 into group", "there are 2"});
  }
}

TEST(QuantizedFolder, Gptq8BitsWithOneGroup) {
  Arrays arrays = {{"x.qweight", i32({1, 4}, {0x04030201, 0, 0, 0xFFFFFFFF})},
                   {"x.qzeros", i32({1, 1}, {0x80808080 - 0x01010101})},
                   {"x.scales", f32({1, 4}, {1, 2, 3, 4})}};
  const Folder folder(arrays, R"({"quant_method": "gptq", "bits": 8, "group_size": -1})");
  EXPECT_EQ(values_of(*folder.open(), "x.weight"),
            (std::vector<float>{-127, -126, -125, -124, -256, -256, -256, -256, -384, -384, -384,
                                -384, 508, 508, 508, 508}));
}

TEST(QuantizedFolder, AwqHasOutputsInAnOrderOfItsOwn) {
  const Folder folder(packed_arrays({16, 1}, 0x76543210), kAwq);
  const std::vector<float> values = values_of(*folder.open(), "x.weight");
  EXPECT_EQ(values, std::vector<float>(128, 0));  // codes and zeros are in one order
  const Folder plain(packed_arrays({16, 1}, 0), kAwq);
  const std::vector<float> codes = values_of(*plain.open(), "x.weight");
  constexpr std::array kCodes = {0, 4, 1, 5, 2, 6, 3, 7};  // 0 2 4 6 1 3 5 7 undone
  for (int o = 0; o < 8; ++o) {
    EXPECT_EQ(codes[o * 16], static_cast<float>((1 + o) * kCodes[o]));
    EXPECT_EQ(codes[o * 16 + 15], static_cast<float>((101 + o) * kCodes[o]));
  }
}

TEST(QuantizedFolder, BiasesOfZerosNeedNoPlace) {
  Arrays arrays = packed_arrays({2, 8}, 0);
  arrays["x.bias"] = f32({2}, {0, 0});
  arrays["y.bias"] = f32({2}, {0, 0});  // of no such matrix
  const Folder zeros(arrays, kGptq);
  EXPECT_EQ(names_in(*zeros.open()), (std::vector<std::string>{"x.weight", "y.bias"}));
  EXPECT_EQ(values_of(*zeros.open(), "x.bias"), (std::vector<float>{0, 0}));
  arrays["x.bias"] = f32({2}, {0, 1});
  EXPECT_EQ(names_in(*Folder(arrays, kGptq).open()),
            (std::vector<std::string>{"x.bias", "x.weight", "y.bias"}));
}

TEST(QuantizedFolder, PackedThatIsWrong) {
  const Arrays right = packed_arrays({2, 8}, 0);
  const auto with = [&](const std::string& name, RawArray array) {
    Arrays arrays = right;
    arrays[name] = std::move(array);
    return arrays;
  };
  for (const char* part : {"x.qzeros", "x.scales"}) {
    Arrays arrays = right;
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
      {compressed(R"({"num_bits": 4})"), "num_bits is 4"},
      {compressed(R"({"num_bits": 8, "symmetric": false})"), "symmetric is false"},
      {compressed(R"({"num_bits": 8, "strategy": "group"})"), "strategy is group"},
      {compressed(R"({"num_bits": 8})", "pack-quantized"), "format is pack-quantized"},
      {R"({"quant_method": "compressed-tensors", "format": "float-quantized"})", "config_groups"},
  };
  for (const auto& [text, part] : wrong) {
    expect_error([&, t = text] { (void)read_quantization(json::Record::parse(t, "config.json")); },
                 {"config.json", part});
  }
}

}  // namespace
}  // namespace evo::weights
