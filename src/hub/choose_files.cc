#include "hub/choose_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/terminal/text_width.h"
#include "hub/gguf_names.h"
#include "json/json_text.h"

namespace evo::hub {
namespace {

/// What a model folder has beside its weights.
bool goes_with_weights(std::string_view path) {
  constexpr std::array kNames = {"config.json",
                                 "generation_config.json",
                                 "vocab.json",
                                 "vocab.txt",
                                 "merges.txt",
                                 "added_tokens.json",
                                 "special_tokens_map.json",
                                 "quantize_config.json",
                                 "quant_config.json"};
  if (path.find('/') != path.npos) return false;
  return std::ranges::find(kNames, path) != kNames.end() || path.starts_with("tokenizer") ||
         path.starts_with("chat_template") || path.ends_with(".model") ||
         path.ends_with(".tiktoken");
}

const RemoteFile* find(const std::vector<RemoteFile>& files, std::string_view path) {
  const auto found = std::ranges::find(files, path, &RemoteFile::path);
  return found == files.end() ? nullptr : &*found;
}

/// A model folder; without files if there are no weights for one.
Choice folder_of(const std::vector<RemoteFile>& files) {
  Choice choice;
  const RemoteFile* weights = find(files, kWeightsFile);
  if (weights == nullptr) {
    weights = find(files, kWeightsIndex);
    if (weights != nullptr) choice.index = kWeightsIndex;
  }
  if (weights == nullptr || find(files, "config.json") == nullptr) return {};
  for (const RemoteFile& file : files) {
    if (goes_with_weights(file.path)) choice.files.push_back(file);
  }
  choice.files.push_back(*weights);
  return choice;
}

Choice gguf_of(const std::vector<RemoteFile>& files, const ModelName& name) {
  std::vector<std::string> paths;
  std::vector<int64_t> sizes;
  for (const RemoteFile& file : files) {
    paths.push_back(file.path);
    sizes.push_back(file.size);
  }
  const std::vector<GgufFile> found = gguf_files(paths, name.file);
  if (found.empty()) return {};
  const GgufFile& chosen = choose_gguf(found, name, sizes);
  Choice choice;
  choice.model = chosen.name;
  for (const size_t part : chosen.parts) choice.files.push_back(files[part]);
  return choice;
}

[[noreturn]] void fail_without_model(const std::vector<RemoteFile>& files, const ModelName& name) {
  if (!name.file.empty()) {
    fail("{}: the repository has no file '{}' and no GGUF file whose name ends so", name.repository,
         printable(name.file));
  }
  const bool pickled = std::ranges::any_of(files, [](const RemoteFile& file) {
    return file.path.ends_with(".bin") || file.path.ends_with(".pth") || file.path.ends_with(".pt");
  });
  fail("{}: expected config.json with {} (or {}), or a GGUF file, found {}", name.text(),
       kWeightsFile, kWeightsIndex,
       pickled ? "weights in PyTorch's own format only, which is not read: look for a copy in "
                 "safetensors"
               : fmt::format("none among {} files", files.size()));
}

}  // namespace

Choice choose_files(const std::vector<RemoteFile>& files, const ModelName& name) {
  const RemoteFile* named = name.file.empty() ? nullptr : find(files, name.file);
  if (named != nullptr && !named->path.ends_with(".gguf")) return {{*named}, {}, named->path};
  Choice choice = name.file.empty() ? folder_of(files) : Choice();
  if (choice.files.empty()) choice = gguf_of(files, name);
  if (choice.files.empty()) fail_without_model(files, name);
  return choice;
}

std::vector<RemoteFile> shards_of(std::string_view index_json, std::string_view source,
                                  const std::vector<RemoteFile>& files) {
  const nlohmann::ordered_json root = json::parse_json(index_json, source);
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object())
    fail("{}: expected an object \"weight_map\" from names of arrays to files", source);
  std::set<std::string> names;
  for (const auto& [array, shard] : root["weight_map"].items()) {
    if (!shard.is_string()) {
      fail("{}: {} must be in a file that is named, found {}", source,
           printable(json::shortened(array)), printable(json::shortened(shard.dump())));
    }
    names.insert(shard.get<std::string>());
  }
  std::vector<RemoteFile> shards;
  for (const std::string& name : names) {
    const RemoteFile* file = find(files, name);
    if (file == nullptr) {
      fail("{}: names {}, which the repository does not have", source,
           printable(json::shortened(name)));
    }
    shards.push_back(*file);
  }
  return shards;
}

}  // namespace evo::hub
