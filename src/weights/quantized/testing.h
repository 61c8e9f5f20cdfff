// Folders with matrices in fewer bits, array by array, right or wrong.
#pragma once

#include <map>
#include <memory>

#include "base/testing.h"
#include "json/record.h"
#include "weights/array_source.h"

namespace evo::testing {

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
inline RawArray f32(Shape shape, const std::vector<float>& values) {
  return {"F32", std::move(shape), bytes_of(values)};
}
inline RawArray i32(Shape shape, const std::vector<uint32_t>& words) {
  return {"I32", std::move(shape), bytes_of(words)};
}
inline RawArray codes(std::string dtype, Shape shape, const std::vector<uint8_t>& values) {
  return {std::move(dtype), std::move(shape), bytes_of(values)};
}

using RawArrays = std::map<std::string, RawArray>;

/// A folder of arrays of any type, and what config.json says of them.
class QuantizedModel {
 public:
  QuantizedModel(const RawArrays& arrays, const std::string& quantization) {
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
  [[nodiscard]] std::unique_ptr<const weights::ArraySource> open() const {
    return weights::open_arrays(folder_.path());
  }

 private:
  TemporaryFolder folder_;
};

inline std::vector<float> values_of(const weights::ArraySource& source, const std::string& name) {
  const weights::TensorInfo* const info = source.find(name);
  EXPECT_NE(info, nullptr) << name;
  std::vector<float> values(info == nullptr ? 0 : weights::element_count(info->shape, name));
  if (info != nullptr) source.read_f32(name, info->shape, values);
  return values;
}

inline std::vector<std::string> names_in(const weights::ArraySource& source) {
  std::vector<std::string> names;
  source.for_each([&](const weights::TensorInfo& info) { names.push_back(info.name); });
  std::ranges::sort(names);
  return names;
}

inline void expect_refused(const RawArrays& arrays, const std::string& quantization,
                           std::initializer_list<std::string_view> parts) {
  const QuantizedModel folder(arrays, quantization);
  expect_error([&] { (void)folder.open(); }, parts);
}

/// A "quantization_config" with one group whose "weights" are given.
inline std::string compressed(const std::string& weights,
                              const std::string& format = "float-quantized") {
  return R"({"quant_method": "compressed-tensors", "format": ")" + format +
         R"(", "config_groups": {"group_0": {"weights": )" + weights + "}}}";
}

}  // namespace evo::testing
