#include "weights/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/checked.h"
#include "base/float_formats.h"
#include "base/threads/parallel.h"
#include "json/record.h"

namespace evo::weights {

static_assert(std::endian::native == std::endian::little,
              "arrays are read and written as they are");

namespace {

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kMaxHeaderBytes = 100'000'000;  // as in the format's own library
constexpr std::string_view kMetadataKey = "__metadata__";
constexpr size_t kMaxMetadata = 10'000;

struct DTypeSize {
  std::string_view name;
  int64_t bytes;
};
constexpr std::array kDTypes = {
    DTypeSize{"BOOL", 1}, DTypeSize{"U8", 1},  DTypeSize{"I8", 1},  DTypeSize{"F8_E5M2", 1},
    DTypeSize{"U16", 2},  DTypeSize{"I16", 2}, DTypeSize{"F16", 2}, DTypeSize{"F8_E4M3", 1},
    DTypeSize{"BF16", 2}, DTypeSize{"U32", 4}, DTypeSize{"I32", 4}, DTypeSize{"F32", 4},
    DTypeSize{"U64", 8},  DTypeSize{"I64", 8}, DTypeSize{"F64", 8}, DTypeSize{"F8_E8M0", 1},
};

int64_t dtype_bytes(std::string_view dtype, std::string_view where) {
  for (const DTypeSize& known : kDTypes) {
    if (known.name == dtype) return known.bytes;
  }
  fail("{}: unknown dtype \"{}\"", where, dtype);
}

/// The JSON text behind the length field.
std::string_view header_of(const files::MappedFile& file) {
  const std::string name = file.path().string();
  const auto size = static_cast<int64_t>(file.bytes().size());
  if (size < kLengthBytes) {
    fail("{} has {} bytes, too few for a safetensors file; incomplete download?", name, size);
  }
  uint64_t length = 0;
  std::memcpy(&length, file.bytes().data(), sizeof length);
  if (std::cmp_greater(length, kMaxHeaderBytes)) {
    fail("{}: header length {} is over the limit of {} bytes; not a safetensors file?", name,
         length, kMaxHeaderBytes);
  }
  if (std::cmp_greater(length, size - kLengthBytes)) {
    fail("{}: the header has {} bytes but the file only {} after the length; incomplete download?",
         name, length, size - kLengthBytes);
  }
  return {reinterpret_cast<const char*>(file.bytes().data()) + kLengthBytes, length};
}

struct Entry {
  TensorInfo info;
  int64_t begin, end;  // in the data section
};

Entry read_entry(const std::string& name, const json::Record& fields) {
  const std::string& where = fields.source();  // "FILE: NAME"
  Entry entry{{name, fields.get_string("dtype"), fields.get_ints("shape"), {}}, 0, 0};
  const std::vector<int64_t> offsets = fields.get_ints("data_offsets");
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0]) {
    fail("{}: data_offsets must be [begin, end] with 0 <= begin <= end, found {}", where,
         shape_text(offsets));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  const int64_t expected = checked_mul(element_count(entry.info.shape, where),
                                       dtype_bytes(entry.info.dtype, where), where);
  if (entry.end - entry.begin != expected) {
    fail("{}: shape {} of {} needs {} bytes, but data_offsets {} give {}", where,
         shape_text(entry.info.shape), entry.info.dtype, expected, shape_text(offsets),
         entry.end - entry.begin);
  }
  return entry;
}

/// The arrays must cover the data section: each begins where the one before ends.
void check_layout(const std::vector<Entry>& entries, int64_t data_bytes, const std::string& file) {
  int64_t position = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != position) {
      fail("{}: {} begins at byte {} of the data, but the array before it ends at {} ({})", file,
           entry.info.name, entry.begin, position,
           entry.begin < position ? "they overlap" : "a gap, which the format forbids");
    }
    if (entry.end > data_bytes) {
      fail("{}: {} ends at byte {} of the data, but there are only {}; incomplete download?", file,
           entry.info.name, entry.end, data_bytes);
    }
    position = entry.end;
  }
  if (position != data_bytes) {
    fail("{}: {} bytes after the last array, which belong to none: copy or convert it again", file,
         data_bytes - position);
  }
}

std::map<std::string, std::string> read_metadata(const json::Record& record) {
  std::map<std::string, std::string> metadata;
  const std::vector<std::string> keys = record.keys();
  // Files have a handful. A Record looks through its keys one by one, so that millions would take
  // hours.
  if (keys.size() > kMaxMetadata) {
    fail("{}: __metadata__ has {} keys, expected at most {}: is the file damaged?", record.source(),
         keys.size(), kMaxMetadata);
  }
  for (const std::string& key : keys) metadata[key] = record.get_string(key);
  return metadata;
}

constexpr int64_t kReadPerThread = 1 << 16;

template <class Convert>
void convert_16bit(std::span<const std::byte> bytes, std::span<float> out, Convert convert) {
  parallel_for(std::ssize(out), kReadPerThread, [&](int64_t begin, int64_t end) {
    const std::byte* const from = bytes.data();
    float* const to = out.data();
    for (int64_t i = begin; i < end; ++i) {
      uint16_t bits;
      std::memcpy(&bits, from + static_cast<size_t>(i) * sizeof bits, sizeof bits);
      to[i] = convert(bits);
    }
  });
}

/// memcpy, since the data of a foreign file need not be aligned.
template <class Type>
void copy_elements(std::span<const std::byte> bytes, std::span<Type> out) {
  parallel_for(std::ssize(out), kReadPerThread, [&](int64_t begin, int64_t end) {
    std::memcpy(out.data() + begin, bytes.data() + static_cast<size_t>(begin) * sizeof(Type),
                (end - begin) * sizeof(Type));
  });
}

void convert_f64(std::span<const std::byte> bytes, std::span<float> out) {
  parallel_for(std::ssize(out), kReadPerThread, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double value;
      std::memcpy(&value, bytes.data() + static_cast<size_t>(i) * sizeof value, sizeof value);
      out[i] = static_cast<float>(value);
    }
  });
}

void write_bf16(files::AtomicFile& file, std::span<const float> values) {
  std::array<uint16_t, 1 << 15> chunk;
  while (!values.empty()) {
    const size_t count = std::min(values.size(), chunk.size());
    std::transform(values.begin(), values.begin() + static_cast<ptrdiff_t>(count), chunk.begin(),
                   to_bf16);
    file.write(std::as_bytes(std::span(chunk).first(count)));
    values = values.subspan(count);
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::string_view text = header_of(file_);
  json::Record header = json::Record::parse(text, path.string());
  if (header.has(kMetadataKey)) {
    metadata_ = read_metadata(header.get_record(kMetadataKey));
    header.erase(kMetadataKey);
  }
  std::vector<Entry> entries;
  for (const auto& [name, fields] : header.members()) entries.push_back(read_entry(name, fields));
  // Empty arrays share their place with the next one, and so come before it.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const auto data = file_.bytes().subspan(static_cast<size_t>(kLengthBytes) + text.size());
  check_layout(entries, static_cast<int64_t>(data.size()), path.string());
  tensors_.reserve(entries.size());
  for (Entry& entry : entries) {
    entry.info.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    tensors_.push_back(std::move(entry.info));
    index_.emplace(tensors_.back().name, tensors_.size() - 1);
  }
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorInfo& SafetensorsFile::checked(std::string_view name,
                                           const std::vector<int64_t>& expected_shape) const {
  return checked_tensor(find(name), path(), name, expected_shape);
}

void SafetensorsFile::read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                               std::span<float> out) const {
  EVO_CHECK(std::cmp_equal(element_count(expected_shape, name), out.size()));
  const TensorInfo& tensor = checked(name, expected_shape);
  if (tensor.dtype == "F32") {
    copy_elements(tensor.bytes, out);
  } else if (tensor.dtype == "BF16") {
    convert_16bit(tensor.bytes, out, [](uint16_t bits) { return from_bf16(bits); });
  } else if (tensor.dtype == "F16") {
    convert_16bit(tensor.bytes, out, [](uint16_t bits) { return from_f16(bits); });
  } else if (tensor.dtype == "F64") {
    convert_f64(tensor.bytes, out);
  } else {
    fail("{}: {} is {}, expected F32, BF16, F16 or F64", path().string(), name, tensor.dtype);
  }
  file_.forget(tensor.bytes);
}

void SafetensorsFile::read_f32_part(std::string_view name,
                                    const std::vector<int64_t>& expected_shape, int64_t first,
                                    std::span<float> out) const {
  const TensorInfo& tensor = checked(name, expected_shape);
  if (tensor.dtype != "F32")
    fail("{}: {} is {}, expected F32", path().string(), name, tensor.dtype);
  EVO_CHECK(first >= 0 && first + std::ssize(out) <= element_count(expected_shape, name));
  const auto bytes = tensor.bytes.subspan(first * sizeof(float), out.size_bytes());
  copy_elements(bytes, out);
  file_.forget(bytes);
}

void SafetensorsFile::read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                                std::span<uint16_t> out) const {
  EVO_CHECK(std::cmp_equal(element_count(expected_shape, name), out.size()));
  const TensorInfo& tensor = checked(name, expected_shape);
  if (tensor.dtype != "BF16")
    fail("{}: {} is {}, expected BF16", path().string(), name, tensor.dtype);
  copy_elements(tensor.bytes, out);
  file_.forget(tensor.bytes);
}

SafetensorsLayout safetensors_layout(const std::vector<ArrayToWrite>& arrays,
                                     const std::map<std::string, std::string>& metadata) {
  json::Record header;
  if (!metadata.empty()) {
    json::Record texts;
    for (const auto& [key, value] : metadata) texts.set(key, value);
    header.set(kMetadataKey, texts);
  }
  SafetensorsLayout layout;
  int64_t position = 0;
  for (const ArrayToWrite& array : arrays) {
    EVO_CHECK(array.name != kMetadataKey && !header.has(array.name));
    EVO_CHECK(array.dtype == "F32" || array.dtype == "BF16");
    const int64_t end =
        position + element_count(array.shape, array.name) * dtype_bytes(array.dtype, array.name);
    json::Record fields;
    fields.set("dtype", array.dtype).set("shape", array.shape);
    fields.set("data_offsets", std::vector<int64_t>{position, end});
    header.set(array.name, fields);
    layout.begin.push_back(position);
    position = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  const uint64_t length = text.size();
  layout.head.assign(reinterpret_cast<const char*>(&length), sizeof length);
  layout.head += text;
  for (int64_t& begin : layout.begin) begin += std::ssize(layout.head);
  layout.file_bytes = std::ssize(layout.head) + position;
  return layout;
}

void write_safetensors(const std::filesystem::path& path, const std::vector<ArrayToWrite>& arrays,
                       const std::map<std::string, std::string>& metadata) {
  const SafetensorsLayout layout = safetensors_layout(arrays, metadata);
  files::write_atomically(path, [&](files::AtomicFile& file) {
    file.write(layout.head);
    std::vector<float> made;
    for (const ArrayToWrite& array : arrays) {
      const int64_t count = element_count(array.shape, array.name);
      std::span<const float> values = array.values;
      if (array.make != nullptr) {
        made.resize(count);
        array.make(made);
        values = made;
      }
      EVO_CHECK(std::cmp_equal(count, values.size()));
      if (array.dtype == "BF16") {
        write_bf16(file, values);
      } else {
        file.write(std::as_bytes(values));
      }
    }
  });
}

}  // namespace evo::weights
