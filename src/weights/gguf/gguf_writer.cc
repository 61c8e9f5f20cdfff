#include "weights/gguf/gguf_writer.h"

#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/threads/parallel.h"
#include "weights/tensor_info.h"

namespace evo::weights {
namespace {

template <class Value>
void put(std::string& bytes, Value value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  bytes.append(raw, sizeof value);
}

void put_text(std::string& bytes, std::string_view text) {
  put<uint64_t>(bytes, text.size());
  bytes += text;
}

int64_t aligned(int64_t bytes) {
  return (bytes + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
}

/// A piece at a time, so that the array is not in memory twice.
void write_values(files::AtomicFile& file, const BlockFormat& format,
                  std::span<const float> values) {
  constexpr int64_t kBlocksAtATime = int64_t{1} << 16, kPerThread = int64_t{1} << 10;
  const int64_t blocks = std::ssize(values) / format.weights;
  std::vector<uint8_t> bytes;
  for (int64_t first = 0; first < blocks; first += kBlocksAtATime) {
    const int64_t count = std::min(kBlocksAtATime, blocks - first);
    bytes.resize(static_cast<size_t>(count * format.block_bytes));
    parallel_for(count, kPerThread, [&](int64_t begin, int64_t end) {
      format.write(values.data() + (first + begin) * format.weights, end - begin,
                   bytes.data() + begin * format.block_bytes);
    });
    file.write(std::as_bytes(std::span(bytes)));
  }
}

}  // namespace

void GgufWriter::begin(std::string_view key, GgufType type) {
  put_text(metadata_, key);
  put(metadata_, static_cast<uint32_t>(type));
  ++keys_;
}

void GgufWriter::begin_array(std::string_view key, GgufType type, size_t size) {
  begin(key, GgufType::kArray);
  put(metadata_, static_cast<uint32_t>(type));
  put<uint64_t>(metadata_, size);
}

void GgufWriter::set(std::string_view key, std::string_view value) {
  begin(key, GgufType::kString);
  put_text(metadata_, value);
}

void GgufWriter::set(std::string_view key, int64_t value) {
  EVO_CHECK(std::in_range<uint32_t>(value));
  begin(key, GgufType::kUint32);
  put(metadata_, static_cast<uint32_t>(value));
}

void GgufWriter::set(std::string_view key, double value) {
  begin(key, GgufType::kFloat32);
  put(metadata_, static_cast<float>(value));
}

void GgufWriter::set(std::string_view key, bool value) {
  begin(key, GgufType::kBool);
  put(metadata_, static_cast<uint8_t>(value));
}

void GgufWriter::set(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufType::kString, values.size());
  for (const std::string& value : values) put_text(metadata_, value);
}

void GgufWriter::set(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, GgufType::kInt32, values.size());
  for (const int32_t value : values) put(metadata_, value);
}

void GgufWriter::set(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufType::kFloat32, values.size());
  for (const float value : values) put(metadata_, value);
}

void GgufWriter::add(std::string name, std::vector<int64_t> shape, const BlockFormat& format,
                     std::function<void(files::AtomicFile&)> write) {
  const int64_t count = element_count(shape, name);
  if (shape.back() % format.weights != 0) {
    fail(
        "{}: rows of {} weights cannot be stored in {}, whose blocks have {}: choose another "
        "format",
        name, shape.back(), format.name, format.weights);
  }
  const int64_t bytes = checked_mul(count / format.weights, format.block_bytes, name);
  arrays_.push_back({std::move(name), std::move(shape), &format, bytes, std::move(write)});
}

void GgufWriter::add_values(std::string name, std::vector<int64_t> shape, const BlockFormat& format,
                            std::function<void(std::span<float>)> make) {
  EVO_CHECK(format.write != nullptr);
  const int64_t count = element_count(shape, name);
  add(std::move(name), std::move(shape), format,
      [&format, count, make = std::move(make)](files::AtomicFile& file) {
        std::vector<float> values(static_cast<size_t>(count));
        make(values);
        write_values(file, format, values);
      });
}

std::string GgufWriter::head() const {
  std::string bytes;
  put(bytes, kGgufMagic);
  put(bytes, kGgufVersion);
  put<uint64_t>(bytes, arrays_.size());
  put(bytes, keys_);
  bytes += metadata_;
  int64_t offset = 0;
  for (const Array& array : arrays_) {
    put_text(bytes, array.name);
    put(bytes, static_cast<uint32_t>(array.shape.size()));
    for (auto extent = array.shape.rbegin(); extent != array.shape.rend(); ++extent)
      put(bytes, *extent);
    put(bytes, array.format->id);
    put(bytes, offset);
    offset = checked_add(offset, aligned(array.bytes), "size of the file");
  }
  bytes.resize(static_cast<size_t>(aligned(std::ssize(bytes))));
  return bytes;
}

void GgufWriter::write(const std::filesystem::path& path) const {
  files::write_atomically(path, [&](files::AtomicFile& file) {
    file.write(head());
    for (const Array& array : arrays_) {
      array.write(file);
      file.write(std::string(static_cast<size_t>(aligned(array.bytes) - array.bytes), '\0'));
    }
  });
}

}  // namespace evo::weights
