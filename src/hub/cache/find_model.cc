#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/terminal/text_width.h"
#include "hub/cache/cache.h"
#include "hub/gguf_names.h"

namespace evo::hub {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail_missing(const ModelName& name, std::string_view why) {
  throw NotInCache(fmt::format("{}: {}; evo pull {} gets it", name.text(), why, name.text()));
}

fs::path snapshot_of(const Cache& cache, const ModelName& name) {
  const auto commit = cache.commit_of(name.repository, name.wanted_revision());
  std::error_code missing;
  if (commit) {
    fs::path snapshot = cache.snapshot(name.repository, *commit);
    if (fs::is_directory(snapshot, missing)) return snapshot;
  }
  const std::vector<std::string> others = cache.commits(name.repository);
  fail_missing(name, fmt::format("neither a file or folder nor a model in the cache {}{}",
                                 cache.folder().string(),
                                 others.empty() ? ""
                                                : fmt::format(", which has it at @{} only",
                                                              fmt::join(others, " and @"))));
}

}  // namespace

fs::path find_model(const Cache& cache, const ModelName& name) {
  const fs::path snapshot = snapshot_of(cache, name);
  const std::vector<std::string> paths = file_paths(snapshot);
  const auto has = [&](std::string_view path) {
    return std::ranges::find(paths, path) != paths.end();
  };
  const bool folder = has("config.json") && (has(kWeightsFile) || has(kWeightsIndex));
  if (name.file.empty() && folder) return snapshot;
  if (has(name.file) && !name.file.ends_with(".gguf")) return snapshot / name.file;
  const std::vector<GgufFile> files = gguf_files(paths, name.file);
  if (files.empty()) {
    fail_missing(
        name, fmt::format("{} has neither {} with config.json nor a GGUF file{}", snapshot.string(),
                          kWeightsFile, name.file.empty() ? "" : " of that name"));
  }
  std::vector<int64_t> sizes;
  sizes.reserve(paths.size());
  for (const std::string& path : paths) {
    sizes.push_back(static_cast<int64_t>(fs::file_size(snapshot / path)));
  }
  return snapshot / choose_gguf(files, name, sizes).name;
}

}  // namespace evo::hub
