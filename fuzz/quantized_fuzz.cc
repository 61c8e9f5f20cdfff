// Any arrays, and any text on how they are stored, are matrices or an Error: every number of each
// is read. The input is a "quantization_config", lines "NAME DTYPE EXTENT...", a zero, and bytes of
// which the arrays are made, again and again as far as they go.
#include <set>
#include <sstream>

#include "memory_file.h"
#include "weights/quantized/quantized_folder.h"
#include "weights/safetensors.h"

namespace {

constexpr int64_t kMostBytes = 1 << 16;

/// "I8" and "F8_E4M3" have 1.
int64_t bytes_of(const std::string& dtype) {
  const size_t digit = dtype.find_first_of("0123456789");
  const int64_t bits = digit == std::string::npos ? 0 : std::atol(dtype.c_str() + digit);
  return bits % 8 == 0 ? bits / 8 : 0;
}

/// The header that the lines describe; how many bytes of data it asks for goes into `total`.
evo::json::Record header_of(std::istream& lines, int64_t& total) {
  evo::json::Record header;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, dtype;
    words >> name >> dtype;
    std::vector<int64_t> shape;
    for (int64_t extent; words >> extent;) shape.push_back(extent);
    if (name.empty() || header.has(name)) continue;
    int64_t bytes = bytes_of(dtype);
    for (const int64_t extent : shape) {
      if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes) || bytes > kMostBytes) {
        total = kMostBytes + 1;
        return header;
      }
    }
    evo::json::Record entry;
    entry.set("dtype", dtype).set("shape", shape);
    header.set(name, entry.set("data_offsets", std::vector<int64_t>{total, total + bytes}));
    if ((total += bytes) > kMostBytes) return header;
  }
  return header;
}

std::string file_of(const evo::json::Record& header, const std::string& data, int64_t total) {
  const std::string text = header.dump();
  const uint64_t length = text.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof length);
  file += text;
  for (int64_t i = 0; i < total; ++i)
    file += data.empty() ? '\0' : data[static_cast<size_t>(i) % data.size()];
  return file;
}

void read_all(const evo::weights::ArraySource& arrays) {
  std::set<std::string> names;
  arrays.for_each([&](const evo::weights::TensorInfo& info) {
    EVO_CHECK(names.insert(info.name).second && arrays.find(info.name) != nullptr);
    std::vector<float> values(evo::weights::element_count(info.shape, info.name));
    try {
      arrays.read_f32(info.name, info.shape, values);
    } catch (const evo::Error&) {  // whole numbers, for instance
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const evo::fuzzing::MemoryFolder folder;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const size_t zero = std::min(bytes.find('\0'), size);
  std::istringstream lines(bytes.substr(0, zero));
  std::string config;
  std::getline(lines, config);
  try {
    const evo::weights::Quantization how =
        evo::weights::read_quantization(evo::json::Record::parse(config, "config.json"));
    int64_t total = 0;
    const evo::json::Record header = header_of(lines, total);
    if (total > kMostBytes) return 0;
    const std::string file = file_of(header, bytes.substr(std::min(zero + 1, size)), total);
    folder.write("model.safetensors", file);
    read_all(evo::weights::QuantizedFolder(folder.path(), how));
  } catch (const evo::Error&) {
  }
  return 0;
}
