#include "hub/cache/cached_models.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <set>
#include <system_error>

#include "base/error.h"
#include "base/process/descriptor.h"
#include "hub/gguf_names.h"

namespace evo::hub {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::system_clock;

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing)) paths.push_back(entry.path());
  std::ranges::sort(paths);
  return paths;
}

Clock::time_point time_of(const timespec& time) {
  return Clock::time_point(std::chrono::duration_cast<Clock::duration>(
      std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)));
}

/// Adds a content: a blob, or a file in a snapshot where links cannot be made.
void add_content(const fs::path& path, CachedModel& model) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  model.bytes += status.st_size;
  if (path.string().ends_with(kUnfinished)) model.unfinished += status.st_size;
  model.used = std::max({model.used, time_of(status.st_atim), time_of(status.st_mtim)});
}

std::string format_of(const std::vector<std::string>& paths) {
  const auto has = [&](std::string_view name) {
    return std::ranges::find(paths, name) != paths.end();
  };
  std::vector<std::string> parts;
  if (has(kWeightsFile) || has(kWeightsIndex)) parts.emplace_back("safetensors");
  std::set<std::string> formats;
  const std::vector<GgufFile> files = gguf_files(paths);
  for (const GgufFile& file : files) {
    if (!file.format.empty()) formats.insert(file.format);
  }
  if (!files.empty()) {
    parts.push_back(formats.empty() ? "GGUF" : fmt::format("GGUF {}", fmt::join(formats, ", ")));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

/// Names of revisions and the commits that they were.
std::vector<std::pair<std::string, std::string>> refs_of(const Cache& cache,
                                                         const std::string& repository) {
  std::vector<std::pair<std::string, std::string>> refs;
  for (const std::string& name : file_paths(cache.model_folder(repository) / "refs")) {
    if (const auto commit = cache.commit_of(repository, name)) refs.emplace_back(name, *commit);
  }
  return refs;
}

std::vector<std::string> revisions_of(const Cache& cache, const std::string& repository,
                                      const std::vector<std::string>& commits) {
  std::vector<std::string> names;
  std::set<std::string> named;
  for (const auto& [name, commit] : refs_of(cache, repository)) {
    if (std::ranges::find(commits, commit) == commits.end()) continue;
    names.push_back(name);
    named.insert(commit);
  }
  for (const std::string& commit : commits) {
    if (!named.contains(commit)) names.push_back(commit);
  }
  return names;
}

CachedModel describe(const Cache& cache, const std::string& repository) {
  CachedModel model;
  model.repository = repository;
  const std::vector<std::string> commits = cache.commits(repository);
  model.revisions = revisions_of(cache, repository, commits);
  for (const fs::path& blob : entries_of(cache.model_folder(repository) / "blobs"))
    add_content(blob, model);
  std::set<std::string> all;
  for (const std::string& commit : commits) {
    const fs::path snapshot = cache.snapshot(repository, commit);
    for (const std::string& path : file_paths(snapshot)) {
      if (!fs::is_symlink(snapshot / path)) add_content(snapshot / path, model);
      all.insert(path);
    }
  }
  model.format = format_of({all.begin(), all.end()});
  return model;
}

/// While it lives, none of the model's files is downloaded by anybody.
class ModelLock {
 public:
  ModelLock(const Cache& cache, const ModelName& name) {
    for (const fs::path& path : entries_of(cache.lock_folder(name.repository))) {
      auto file = std::make_unique<Descriptor>(open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
      if (flock(file->get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        fail("{}: is being downloaded by another process; nothing was removed", name.repository);
      }
      files_.push_back(std::move(file));
    }
  }

 private:
  std::vector<std::unique_ptr<Descriptor>> files_;
};

/// Of a content that nothing else has; a link to another store frees nothing.
int64_t own_bytes(const fs::path& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : 0;
}

int64_t remove_folder(const fs::path& folder) {
  int64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    bytes += own_bytes(entry.path());
  fs::remove_all(folder);
  return bytes;
}

/// Paths in a snapshot that `file` means: itself, or the parts of a GGUF file.
std::vector<std::string> named_paths(const fs::path& snapshot, const ModelName& name) {
  const std::vector<std::string> paths = file_paths(snapshot);
  if (std::ranges::find(paths, name.file) != paths.end()) return {name.file};
  const std::vector<GgufFile> files = gguf_files(paths);
  std::vector<std::string> found;
  for (const GgufFile& file : files) {
    if (!means(name.file, file)) continue;
    for (const size_t part : file.parts) found.push_back(paths[part]);
  }
  return found;
}

/// The entries of one snapshot that `name` means; false if there is none.
bool remove_entries(const fs::path& snapshot, const ModelName& name) {
  if (name.file.empty()) return fs::remove_all(snapshot) > 0;
  const std::vector<std::string> paths = named_paths(snapshot, name);
  for (const std::string& path : paths) {
    fs::remove(snapshot / path);
    std::error_code not_empty;
    for (fs::path folder = (snapshot / path).parent_path();
         folder != snapshot.parent_path() && fs::remove(folder, not_empty);) {
      folder = folder.parent_path();
    }
  }
  return !paths.empty();
}

void remove_unused_refs(const Cache& cache, const std::string& repository) {
  for (const auto& [name, commit] : refs_of(cache, repository)) {
    if (fs::exists(cache.snapshot(repository, commit))) continue;
    fs::remove(cache.model_folder(repository) / "refs" / name);
  }
}

int64_t remove_unused_blobs(const Cache& cache, const std::string& repository) {
  std::set<fs::path> used;
  for (const std::string& commit : cache.commits(repository)) {
    const fs::path snapshot = cache.snapshot(repository, commit);
    for (const std::string& path : file_paths(snapshot)) {
      if (fs::is_symlink(snapshot / path))
        used.insert(fs::read_symlink(snapshot / path).filename());
    }
  }
  int64_t bytes = 0;
  for (const fs::path& blob : entries_of(cache.model_folder(repository) / "blobs")) {
    if (used.contains(blob.filename()) || blob.string().ends_with(kUnfinished)) continue;
    bytes += own_bytes(blob);
    fs::remove(blob);
  }
  return bytes;
}

}  // namespace

std::vector<CachedModel> cached_models(const Cache& cache) {
  std::vector<CachedModel> models;
  for (const std::string& repository : cache.repositories())
    models.push_back(describe(cache, repository));
  return models;
}

int64_t remove_model(const Cache& cache, const ModelName& name) {
  const fs::path folder = cache.model_folder(name.repository);
  if (!fs::is_directory(fs::symlink_status(folder))) {
    fail("{}: not in the cache {}; evo list shows what is", name.repository,
         cache.folder().string());
  }
  const ModelLock lock(cache, name);
  int64_t bytes = 0;
  if (!name.revision.empty() || !name.file.empty()) {
    bool found = false;
    for (const std::string& commit : cache.commits(name.repository)) {
      if (!name.revision.empty() && cache.commit_of(name.repository, name.revision) != commit)
        continue;
      found |= remove_entries(cache.snapshot(name.repository, commit), name);
    }
    if (!found) fail("{}: not in the cache {}", name.text(), cache.folder().string());
    remove_unused_refs(cache, name.repository);
    bytes = remove_unused_blobs(cache, name.repository);
    if (!cache.commits(name.repository).empty()) return bytes;
  }
  bytes += remove_folder(folder);
  fs::remove_all(cache.lock_folder(name.repository));
  return bytes;
}

}  // namespace evo::hub
