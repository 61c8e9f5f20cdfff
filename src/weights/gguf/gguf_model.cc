#include "weights/gguf/gguf_model.h"

#include <algorithm>
#include <cstring>

#include "base/threads/parallel.h"
#include "weights/gguf/rotary_rows.h"

namespace evo::weights {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxFiles = 99999;    // five digits
constexpr int64_t kMostExperts = 4096;  // each becomes an entry with a name
constexpr int64_t kWeightsPerThread = int64_t{1} << 16;

/// "NAME-00002-of-00003.gguf" of the first file's name.
fs::path split_path(const fs::path& path, int64_t number, int64_t count) {
  const std::string name = path.filename().string();
  const std::string tail = fmt::format("-of-{:05}.gguf", count);
  constexpr size_t kDigits = 5;
  const bool right = name.size() > tail.size() + kDigits && name.ends_with(tail) &&
                     name[name.size() - tail.size() - kDigits - 1] == '-';
  if (!right) {
    fail("{}: the model is split in {} files: expected a name that ends in -00001{}", path.string(),
         count, tail);
  }
  const std::string stem = name.substr(0, name.size() - tail.size() - kDigits);
  return path.parent_path() / fmt::format("{}{:05}{}", stem, number, tail);
}

}  // namespace

GgufModel::GgufModel(const fs::path& path) {
  files_.push_back(std::make_shared<const GgufFile>(path));
  if (head().integer("split.count").value_or(1) > 1) open_split(path);
  const std::optional<std::string_view> name = head().text("general.architecture");
  if (!name) fail("{}: the metadata has no general.architecture: is this a model?", path.string());
  architecture_ = find_gguf_architecture(*name, head().has(fmt::format("{}.expert_count", *name)));
  if (architecture_ == nullptr) {
    fail("{}: the network is of the architecture '{}', expected one of {}", path.string(),
         std::string(name->substr(0, 100)), gguf_architecture_names());
  }
}

void GgufModel::open_split(const fs::path& path) {
  const int64_t count = *head().integer("split.count");
  if (count > kMaxFiles)
    fail("{}: split.count is {}, expected at most {}", path.string(), count, kMaxFiles);
  files_.clear();
  size_t arrays = 0;
  for (int64_t i = 0; i < count; ++i) {
    const fs::path part = split_path(path, i + 1, count);
    if (!fs::exists(part)) {
      fail("{}: file {} of {} is missing: expected {} beside it", path.string(), i + 1, count,
           part.filename().string());
    }
    files_.push_back(std::make_shared<const GgufFile>(part));
    const GgufFile& file = *files_.back();
    if (file.integer("split.no") != i || file.integer("split.count") != count) {
      fail("{}: it says that it is file {} of {}, expected {} of {}: do the files belong together?",
           part.string(), file.integer("split.no").value_or(-1) + 1,
           file.integer("split.count").value_or(-1), i + 1, count);
    }
    arrays += file.arrays().size();
  }
  const auto expected = head().integer("split.tensors.count");
  if (expected && std::cmp_not_equal(*expected, arrays)) {
    fail("{}: the files hold {} arrays, expected {}: do they belong together?", path.string(),
         arrays, *expected);
  }
}

const GgufArray* GgufModel::find(std::string_view gguf_name) const {
  for (const auto& file : files_) {
    const auto found = std::ranges::find(file->arrays(), gguf_name, &GgufArray::name);
    if (found != file->arrays().end()) return &*found;
  }
  return nullptr;
}

GgufArrays::GgufArrays(GgufModel model) : model_(std::move(model)) {
  for (const auto& file : model_.files()) {
    for (const GgufArray& array : file->arrays()) add(*file, array);
  }
}

/// Rotary pairs in a head of such an array, if its rows lie in neighbouring pairs.
int64_t GgufArrays::pairs_of(const GgufArray& array) const {
  const bool queries = array.name.find(".attn_q.") != std::string::npos;
  const bool keys = array.name.find(".attn_k.") != std::string::npos;
  if (!model_.architecture().pairs_are_neighbours || (!queries && !keys)) return 0;
  const std::string prefix = fmt::format("{}.attention.", model_.architecture().name);
  const GgufFile& head = model_.head();
  int64_t heads = head.integer(prefix + "head_count").value_or(0);
  if (keys) heads = head.integer(prefix + "head_count_kv").value_or(heads);
  const int64_t rows = array.shape[0];
  if (heads < 1 || rows % heads != 0 || rows / heads % 2 != 0) {
    fail("{}: {} has {} rows, expected {} heads of an even number of rows", head.name(), array.name,
         rows, heads);
  }
  return rows / heads / 2;
}

void GgufArrays::add(const GgufFile& file, const GgufArray& array) {
  const std::optional<std::string> name = folder_name_of(model_.architecture(), array.name);
  if (!name) return;
  if (name->find('*') != std::string::npos) return add_experts(file, array, *name);
  Entry entry{{*name, std::string(array.format->name), array.shape, array.bytes},
              &file,
              array.format,
              array.bytes,
              pairs_of(array),
              model_.architecture().norms_hold_one && name->ends_with("norm.weight")};
  if (entry.pairs > 0 && array.shape.size() == 1 && array.format->weights > 1) {
    fail("{}: {} is a vector in {}, expected one in F32", file.name(), array.name,
         array.format->name);
  }
  if (entry.minus_one) entry.info.dtype += " less 1";
  if (entry.pairs > 0 || entry.minus_one) entry.info.bytes = {};
  add_entry(std::move(entry));
}

void GgufArrays::add_experts(const GgufFile& file, const GgufArray& array,
                             const std::string& name) {
  if (array.shape.size() < 2) {
    fail("{}: {} has shape {}, expected one with an extent for the experts", file.name(),
         array.name, shape_text(array.shape));
  }
  const int64_t experts = array.shape[0];
  if (experts > kMostExperts) {
    fail("{}: {} is of {} experts, expected at most {}: is the file damaged?", file.name(),
         array.name, experts, kMostExperts);
  }
  const std::vector<int64_t> shape(array.shape.begin() + 1, array.shape.end());
  const size_t bytes = array.bytes.size() / static_cast<size_t>(experts), star = name.find('*');
  for (int64_t i = 0; i < experts; ++i) {
    const auto part = array.bytes.subspan(static_cast<size_t>(i) * bytes, bytes);
    const std::string own = fmt::format("{}{}{}", name.substr(0, star), i, name.substr(star + 1));
    add_entry({{own, std::string(array.format->name), shape, part}, &file, array.format, part});
  }
}

void GgufArrays::add_entry(Entry entry) {
  const std::string name = entry.info.name;
  const auto [other, is_new] = entries_.emplace(name, std::move(entry));
  if (!is_new) fail("{}: two arrays mean {}", other->second.file->name(), name);
}

const TensorInfo* GgufArrays::find(std::string_view name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second.info;
}

void GgufArrays::for_each(const std::function<void(const TensorInfo&)>& visit) const {
  for (const auto& [name, entry] : entries_) visit(entry.info);
}

std::span<const std::byte> GgufArrays::row_of(const Entry& entry, int64_t row, int64_t row_bytes) {
  const int64_t stored = entry.pairs > 0 ? neighbouring_row(row, entry.pairs) : row;
  return entry.bytes.subspan(static_cast<size_t>(stored * row_bytes),
                             static_cast<size_t>(row_bytes));
}

template <class Copy>
void GgufArrays::for_each_row(const Entry& entry, const Copy& copy) const {
  const std::vector<int64_t>& shape = entry.info.shape;
  const int64_t weights = entry.pairs > 0 && shape.size() == 1 ? 1 : shape.back();
  const int64_t row_bytes = weights / entry.format->weights * entry.format->block_bytes;
  const int64_t rows = std::ssize(entry.bytes) / row_bytes;
  parallel_for(rows, std::max<int64_t>(1, kWeightsPerThread / weights),
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r)
                   copy(static_cast<size_t>(r * weights), weights, row_of(entry, r, row_bytes));
               });
  entry.file->forget(entry.bytes);
}

void GgufArrays::read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                          std::span<float> out) const {
  (void)checked(name, expected_shape);
  const Entry& entry = entries_.find(name)->second;
  for_each_row(entry, [&](size_t at, int64_t weights, std::span<const std::byte> bytes) {
    entry.format->read(reinterpret_cast<const uint8_t*>(bytes.data()),
                       weights / entry.format->weights, &out[at]);
  });
  if (!entry.minus_one) return;
  for (float& value : out) value -= 1;
}

void GgufArrays::read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                           std::span<uint16_t> out) const {
  checked_bf16(name, expected_shape);
  for_each_row(entries_.find(name)->second,
               [&](size_t at, int64_t /*weights*/, std::span<const std::byte> bytes) {
                 std::memcpy(&out[at], bytes.data(), bytes.size());
               });
}

std::optional<GroupedRows> GgufArrays::grouped(std::string_view name,
                                               const std::vector<int64_t>& expected_shape) const {
  (void)checked(name, expected_shape);
  const Entry& entry = entries_.find(name)->second;
  const BlockFormat& format = *entry.format;
  if (format.read_groups == nullptr || expected_shape.size() != 2 || entry.minus_one)
    return std::nullopt;
  const int64_t blocks = expected_shape[1] / format.weights;
  // When the last one is done with them, the file's pages are not needed any more.
  const std::shared_ptr<const Entry> bytes(
      &entry, [](const Entry* done) { done->file->forget(done->bytes); });
  return GroupedRows{format.groups, expected_shape[0],
                     [=](int64_t row, std::span<WeightGroup> groups) {
                       const auto of_row = row_of(*bytes, row, blocks * bytes->format->block_bytes);
                       bytes->format->read_groups(reinterpret_cast<const uint8_t*>(of_row.data()),
                                                  blocks, groups.data());
                     }};
}

}  // namespace evo::weights
