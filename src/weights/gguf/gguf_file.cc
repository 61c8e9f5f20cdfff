#include "weights/gguf/gguf_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>

#include "base/checked.h"
#include "json/json_text.h"
#include "weights/tensor_info.h"

namespace evo::weights {

static_assert(std::endian::native == std::endian::little, "numbers are read as they are");

namespace {

constexpr uint64_t kMaxKey = 65535;  // the format's own limit
constexpr uint32_t kMaxExtents = 4;
constexpr int64_t kMaxAlignment = int64_t{1} << 20;

struct TypeName {
  std::string_view name;
  size_t bytes;  // 0: of no fixed size
};
constexpr std::array kTypes = {
    TypeName{"uint8", 1},   TypeName{"int8", 1},  TypeName{"uint16", 2},  TypeName{"int16", 2},
    TypeName{"uint32", 4},  TypeName{"int32", 4}, TypeName{"float32", 4}, TypeName{"bool", 1},
    TypeName{"string", 0},  TypeName{"array", 0}, TypeName{"uint64", 8},  TypeName{"int64", 8},
    TypeName{"float64", 8},
};

const TypeName& name_of(GgufType type) {
  return kTypes[static_cast<size_t>(type)];
}

template <class Number>
Number read_at(std::span<const std::byte> bytes, uint64_t i) {
  Number value;
  std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
  return value;
}

std::string_view text_at(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string format_names() {
  std::string names;
  for (const BlockFormat& format : block_formats())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", format.name);
  return names;
}

}  // namespace

/// Goes through the file once, and never beyond its end.
class GgufFile::Reader {
 public:
  explicit Reader(const files::MappedFile& file)
      : bytes_(file.bytes()), name_(file.path().string()) {}

  [[nodiscard]] size_t left() const { return bytes_.size() - at_; }
  [[nodiscard]] int64_t position() const { return static_cast<int64_t>(at_); }

  std::span<const std::byte> take(uint64_t count, std::string_view what) {
    if (count > left()) {
      fail("{}: {} needs {} bytes at byte {}, but only {} are left: incomplete download?", name_,
           what, count, at_, left());
    }
    const auto taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }

  template <class Number>
  Number number(std::string_view what) {
    return read_at<Number>(take(sizeof(Number), what), 0);
  }

  std::string_view text(std::string_view what) {
    const auto length = number<uint64_t>(what);
    return text_at(take(length, what));
  }

  /// How many of something whose smallest has `least` bytes; so that no list is longer than the
  /// file can hold.
  uint64_t count(size_t least, std::string_view what) {
    const auto count = number<uint64_t>(what);
    require_room(count, least, what);
    return count;
  }

  void require_room(uint64_t count, size_t least, std::string_view what) const {
    if (count <= left() / least) return;
    fail("{}: {} are said to be {}, but {} bytes are left at byte {}: is the file damaged?", name_,
         what, count, left(), at_);
  }

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::span<const std::byte> bytes_;
  std::string name_;
  size_t at_ = 0;
};

namespace {

void check_version(const std::string& name, uint32_t magic, uint32_t version) {
  if (magic != kGgufMagic) {
    fail("{}: expected a file that begins with \"GGUF\", found the bytes {:08x}", name,
         __builtin_bswap32(magic));
  }
  if (version == 2 || version == kGgufVersion) return;
  const char* const why = version == 1 ? ": convert the model again with today's llama.cpp"
                          : __builtin_bswap32(version) <= kGgufVersion
                              ? ": it was written for big-endian machines; convert it again"
                              : "";
  fail("{}: GGUF of version {}, expected 2 or 3{}", name, version, why);
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path) {
  Reader reader(file_);
  const auto magic = reader.number<uint32_t>("the header");
  check_version(reader.name(), magic, reader.number<uint32_t>("the header"));
  constexpr size_t kLeastArray = 8 + 4 + 8 + 4 + 8, kLeastKey = 8 + 4 + 1;
  const uint64_t arrays = reader.count(kLeastArray, "the arrays");
  const uint64_t keys = reader.count(kLeastKey, "the keys of metadata");
  read_metadata(reader, keys);
  read_arrays(reader, arrays);
}

GgufFile::Value GgufFile::read_value(Reader& reader, std::string_view key) const {
  const auto read_type = [&] {
    const auto type = reader.number<uint32_t>(key);
    if (type < kTypes.size()) return static_cast<GgufType>(type);
    fail("{}: {} is of type {}, expected one of 0 to {}: is the file damaged?", reader.name(), key,
         type, kTypes.size() - 1);
  };
  Value value{.type = read_type()};
  if (value.type == GgufType::kArray) {
    value.is_array = true;
    value.type = read_type();
    value.count = reader.number<uint64_t>(key);
    if (value.type == GgufType::kArray)
      fail("{}: {} is an array of arrays, which no reader of GGUF takes", reader.name(), key);
  }
  if (value.type != GgufType::kString) {
    const uint64_t bytes = checked_mul<uint64_t>(value.count, name_of(value.type).bytes,
                                                 fmt::format("{}: {}", reader.name(), key));
    value.bytes = reader.take(bytes, key);
    return value;
  }
  reader.require_room(value.count, sizeof(uint64_t), key);
  const auto begin = static_cast<size_t>(reader.position());
  for (uint64_t i = 0; i < value.count; ++i) reader.text(key);
  value.bytes = file_.bytes().subspan(begin, static_cast<size_t>(reader.position()) - begin);
  return value;
}

void GgufFile::read_metadata(Reader& reader, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = reader.text("a key of metadata");
    if (key.empty() || key.size() > kMaxKey) {
      fail("{}: key {} of the metadata has {} bytes, expected 1 to {}: is the file damaged?",
           reader.name(), i, key.size(), kMaxKey);
    }
    if (!values_.emplace(key, read_value(reader, key)).second)
      fail("{}: the metadata has {} twice", reader.name(), json::shortened(std::string(key)));
  }
}

int64_t GgufFile::read_alignment() const {
  const int64_t alignment = integer("general.alignment").value_or(kGgufAlignment);
  if (alignment < 1 || alignment > kMaxAlignment || !std::has_single_bit(uint64_t(alignment))) {
    fail("{}: general.alignment is {}, expected a power of two up to {}", name(), alignment,
         kMaxAlignment);
  }
  return alignment;
}

void GgufFile::read_arrays(Reader& reader, uint64_t count) {
  std::vector<uint64_t> offsets;
  std::unordered_map<std::string_view, size_t> seen;
  for (uint64_t i = 0; i < count; ++i) {
    GgufArray array;
    const std::string_view called = reader.text("the name of an array");
    array.name = called;
    const std::string where =
        fmt::format("{}: {}", reader.name(), json::shortened(std::string(called)));
    const auto extents = reader.number<uint32_t>(where);
    if (extents < 1 || extents > kMaxExtents)
      fail("{}: has {} extents, expected 1 to {}", where, extents, kMaxExtents);
    for (uint32_t n = 0; n < extents; ++n)
      array.shape.insert(array.shape.begin(), reader.number<int64_t>(where));
    const auto format = reader.number<uint32_t>(where);
    array.format = find_block_format(format);
    if (array.format == nullptr) {
      fail("{}: its numbers are in format {}, expected one of {}", where, format, format_names());
    }
    offsets.push_back(reader.number<uint64_t>(where));
    if (!seen.emplace(called, i).second) fail("{}: there are two arrays of this name", where);
    arrays_.push_back(std::move(array));
  }
  if (arrays_.empty()) return;
  const int64_t alignment = read_alignment();
  place_arrays(offsets, (reader.position() + alignment - 1) / alignment * alignment);
}

namespace {

/// Bytes that the array's shape and format make.
int64_t bytes_of(const GgufArray& array, const std::string& where) {
  if (std::ranges::any_of(array.shape, [](int64_t extent) { return extent < 1; }))
    fail("{}: has shape {}, expected positive extents", where, shape_text(array.shape));
  const int64_t count = element_count(array.shape, where);
  const BlockFormat& format = *array.format;
  if (array.shape.back() % format.weights != 0) {
    fail("{}: has rows of {} weights, but {} has blocks of {}", where, array.shape.back(),
         format.name, format.weights);
  }
  return checked_mul(count / format.weights, format.block_bytes, where);
}

}  // namespace

void GgufFile::place_arrays(std::span<const uint64_t> offsets, int64_t data_begin) {
  const int64_t alignment = read_alignment(), size = std::ssize(file_.bytes());
  const int64_t data_bytes = std::max<int64_t>(0, size - data_begin);
  std::vector<size_t> order(arrays_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return offsets[i]; });
  uint64_t end = 0;
  for (const size_t i : order) {
    GgufArray& array = arrays_[i];
    const std::string where = fmt::format("{}: {}", name(), json::shortened(array.name));
    const auto bytes = static_cast<uint64_t>(bytes_of(array, where));
    if (offsets[i] % static_cast<uint64_t>(alignment) != 0)
      fail("{}: begins at byte {} of the data, expected a multiple of {}", where, offsets[i],
           alignment);
    if (offsets[i] < end) {
      fail("{}: begins at byte {} of the data, but the array before it ends at {}: they overlap",
           where, offsets[i], end);
    }
    end = checked_add(offsets[i], bytes, where);
    if (std::cmp_greater(end, data_bytes)) {
      fail("{}: ends at byte {} of the data, but there are only {}; incomplete download?", where,
           end, data_bytes);
    }
    array.bytes = file_.bytes().subspan(static_cast<size_t>(data_begin) + offsets[i], bytes);
  }
}

const GgufFile::Value* GgufFile::find(std::string_view key, bool is_array) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  if (found->second.is_array != is_array)
    refuse(key, found->second, is_array ? "an array" : "one value");
  return &found->second;
}

void GgufFile::refuse(std::string_view key, const Value& value, std::string_view expected) const {
  fail("{}: {} is {}{}, expected {}", name(), key,
       value.is_array ? fmt::format("an array of {} of type ", value.count) : "of type ",
       name_of(value.type).name, expected);
}

int64_t GgufFile::integer_at(std::string_view key, const Value& value, uint64_t i) const {
  switch (value.type) {
    case GgufType::kUint8:
      return read_at<uint8_t>(value.bytes, i);
    case GgufType::kInt8:
      return read_at<int8_t>(value.bytes, i);
    case GgufType::kUint16:
      return read_at<uint16_t>(value.bytes, i);
    case GgufType::kInt16:
      return read_at<int16_t>(value.bytes, i);
    case GgufType::kUint32:
      return read_at<uint32_t>(value.bytes, i);
    case GgufType::kInt32:
      return read_at<int32_t>(value.bytes, i);
    case GgufType::kInt64:
      return read_at<int64_t>(value.bytes, i);
    case GgufType::kUint64: {
      const auto number = read_at<uint64_t>(value.bytes, i);
      if (std::in_range<int64_t>(number)) return static_cast<int64_t>(number);
      fail("{}: {} is {}, which is too large", name(), key, number);
    }
    default:
      refuse(key, value, "a whole number");
  }
}

double GgufFile::real_at(std::string_view key, const Value& value, uint64_t i) const {
  if (value.type == GgufType::kFloat32) return read_at<float>(value.bytes, i);
  if (value.type == GgufType::kFloat64) return read_at<double>(value.bytes, i);
  return static_cast<double>(integer_at(key, value, i));
}

bool GgufFile::is_array(std::string_view key) const {
  const auto found = values_.find(key);
  return found != values_.end() && found->second.is_array;
}

std::optional<uint64_t> GgufFile::count(std::string_view key) const {
  const Value* const value = find(key, true);
  return value == nullptr ? std::nullopt : std::optional(value->count);
}

std::optional<std::string_view> GgufFile::text(std::string_view key) const {
  const Value* const value = find(key, false);
  if (value == nullptr) return {};
  if (value->type != GgufType::kString) refuse(key, *value, "a text");
  return text_at(value->bytes.subspan(sizeof(uint64_t)));
}

std::optional<int64_t> GgufFile::integer(std::string_view key) const {
  const Value* const value = find(key, false);
  return value == nullptr ? std::nullopt : std::optional(integer_at(key, *value, 0));
}

std::optional<double> GgufFile::real(std::string_view key) const {
  const Value* const value = find(key, false);
  if (value == nullptr) return {};
  if (value->type != GgufType::kFloat32) return real_at(key, *value, 0);
  // What was written, not the float next to it: 1e-5 and not 9.99999975e-6.
  const auto number = read_at<float>(value->bytes, 0);
  if (!std::isfinite(number)) refuse(key, *value, "a number that is finite");
  return std::stod(fmt::format("{}", number));
}

std::optional<bool> GgufFile::flag(std::string_view key) const {
  const Value* const value = find(key, false);
  if (value == nullptr) return {};
  if (value->type != GgufType::kBool) refuse(key, *value, "true or false");
  return read_at<uint8_t>(value->bytes, 0) != 0;
}

std::vector<std::string_view> GgufFile::texts(std::string_view key) const {
  const Value* const value = find(key, true);
  if (value == nullptr) return {};
  if (value->type != GgufType::kString) refuse(key, *value, "texts");
  std::vector<std::string_view> texts;
  texts.reserve(value->count);
  auto rest = value->bytes;
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto length = read_at<uint64_t>(rest, 0);
    texts.push_back(text_at(rest.subspan(sizeof length, length)));
    rest = rest.subspan(sizeof length + length);
  }
  return texts;
}

std::vector<int64_t> GgufFile::integers(std::string_view key) const {
  std::vector<int64_t> numbers;
  const Value* const value = find(key, true);
  if (value == nullptr) return numbers;
  for (uint64_t i = 0; i < value->count; ++i) numbers.push_back(integer_at(key, *value, i));
  return numbers;
}

std::vector<double> GgufFile::reals(std::string_view key) const {
  std::vector<double> numbers;
  const Value* const value = find(key, true);
  if (value == nullptr) return numbers;
  for (uint64_t i = 0; i < value->count; ++i) numbers.push_back(real_at(key, *value, i));
  return numbers;
}

bool is_gguf(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  std::ifstream file(path, std::ios::binary);
  uint32_t magic = 0;
  file.read(reinterpret_cast<char*>(&magic), sizeof magic);
  return file && magic == kGgufMagic;
}

}  // namespace evo::weights
