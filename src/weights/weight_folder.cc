#include "weights/weight_folder.h"

#include <nlohmann/json.hpp>

#include "json/json_text.h"

namespace evo::weights {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr int64_t kMaxIndexBytes = int64_t{64} << 20;

/// A shard is a file beside the index: any other path could lead out of the folder.
void require_plain_name(const std::string& shard, const fs::path& index, const std::string& array) {
  const bool plain = fs::path(shard).filename() == shard && shard.ends_with(".safetensors");
  if (plain) return;
  fail("{}: {} is said to be in '{}': expected the name of a .safetensors file in the same folder",
       index.string(), json::shortened(array), json::shortened(shard));
}

/// Array -> file, in the order of the index.
std::vector<std::pair<std::string, std::string>> read_index(const fs::path& path) {
  const Json root = json::parse_json(files::read_file(path, kMaxIndexBytes), path.string());
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object()) {
    fail("{}: expected an object \"weight_map\" from names of arrays to files", path.string());
  }
  std::vector<std::pair<std::string, std::string>> entries;
  for (const auto& [array, shard] : root["weight_map"].items()) {
    if (!shard.is_string()) {
      fail("{}: weight_map of {} must be the name of a file, found {}", path.string(),
           json::shortened(array), json::shortened(shard.dump()));
    }
    entries.emplace_back(array, shard.get<std::string>());
    require_plain_name(entries.back().second, path, array);
  }
  if (entries.empty()) fail("{}: weight_map is empty: incomplete download?", path.string());
  return entries;
}

/// Links are not followed: where one leads nowhere, opening it says so.
bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

fs::path weights_file(const fs::path& folder) {
  const bool has_single = is_there(folder / kSingle);
  if (!has_single && is_there(folder / kIndex)) return folder / kIndex;
  if (!has_single && is_there(folder / "pytorch_model.bin")) {
    fail("{}: expected {}, found pytorch_model.bin, which is not read: convert it to safetensors",
         folder.string(), kSingle);
  }
  return folder / kSingle;
}

}  // namespace

WeightFolder::WeightFolder(const fs::path& folder) : path_(weights_file(folder)) {
  if (path_.filename() == kIndex) {
    open_shards(folder);
  } else {
    files_.emplace_back(path_);
    for (const TensorInfo& tensor : files_[0].tensors()) file_of_.emplace(tensor.name, 0);
  }
}

void WeightFolder::open_shards(const fs::path& folder) {
  std::unordered_map<std::string, size_t> index, numbers;
  for (const auto& [array, shard] : read_index(path_)) {
    const auto [number, is_new] = numbers.emplace(shard, files_.size());
    if (is_new) {
      if (!is_there(folder / shard)) {
        fail("{}: {} is said to be in {}, which is not in the folder: incomplete download?",
             path_.string(), array, shard);
      }
      files_.emplace_back(folder / shard);
    }
    index.emplace(array, number->second);
  }
  require_one_place(index);
}

void WeightFolder::require_one_place(const std::unordered_map<std::string, size_t>& index) {
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const TensorInfo& tensor : files_[i].tensors()) {
      const auto [first, is_new] = file_of_.emplace(tensor.name, i);
      if (is_new) continue;
      const auto said = index.find(tensor.name);
      if (said == index.end() || files_[said->second].find(tensor.name) == nullptr) {
        fail("{}: {} is in {} and in {}, and the index names neither: download the folder again",
             path_.string(), tensor.name, files_[first->second].path().filename().string(),
             files_[i].path().filename().string());
      }
      first->second = said->second;
    }
  }
}

const TensorInfo* WeightFolder::find(std::string_view name) const {
  const auto found = file_of_.find(name);
  return found == file_of_.end() ? nullptr : files_[found->second].find(name);
}

void WeightFolder::for_each(const std::function<void(const TensorInfo&)>& visit) const {
  for (const SafetensorsFile& file : files_) {
    for (const TensorInfo& tensor : file.tensors()) visit(tensor);
  }
}

const SafetensorsFile& WeightFolder::file_with(std::string_view name,
                                               const std::vector<int64_t>& expected_shape) const {
  const auto found = file_of_.find(name);
  if (found != file_of_.end()) return files_[found->second];
  fail("{}: there is no array {}; expected one of shape {}", path_.string(), name,
       shape_text(expected_shape));
}

void WeightFolder::read_f32(std::string_view name, const std::vector<int64_t>& expected_shape,
                            std::span<float> out) const {
  file_with(name, expected_shape).read_f32(name, expected_shape, out);
}

void WeightFolder::read_bf16(std::string_view name, const std::vector<int64_t>& expected_shape,
                             std::span<uint16_t> out) const {
  file_with(name, expected_shape).read_bf16(name, expected_shape, out);
}

}  // namespace evo::weights
