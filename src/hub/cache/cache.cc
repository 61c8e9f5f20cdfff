#include "hub/cache/cache.h"

#include <algorithm>
#include <system_error>

#include "base/terminal/text_width.h"
#include "files/files.h"

namespace evo::hub {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "models--", kSlash = "--";

std::string folder_name(std::string_view repository) {
  std::string name(kPrefix);
  const size_t slash = repository.find('/');
  name += repository.substr(0, slash);
  if (slash != repository.npos) name.append(kSlash).append(repository.substr(slash + 1));
  return name;
}

/// Empty for a folder of something else: of data, or one that no repository has.
std::string repository_in(const std::string& folder) {
  if (!folder.starts_with(kPrefix)) return {};
  std::string name = folder.substr(kPrefix.size());
  if (const size_t at = name.find(kSlash); at != name.npos) name.replace(at, kSlash.size(), "/");
  const auto parsed = find_model_name(name);
  return parsed && parsed->repository == name ? name : "";
}

/// Names of the folders in a folder, which may be missing.
std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing)) {
    std::error_code broken;
    if (entry.is_directory(broken)) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

fs::path Cache::model_folder(std::string_view repository) const {
  return folder_ / folder_name(repository);
}

fs::path Cache::lock_folder(std::string_view repository) const {
  return folder_ / ".locks" / folder_name(repository);
}

fs::path Cache::blob(std::string_view repository, std::string_view digest) const {
  return model_folder(repository) / "blobs" / digest;
}

fs::path Cache::snapshot(std::string_view repository, std::string_view commit) const {
  return model_folder(repository) / "snapshots" / commit;
}

std::optional<std::string> Cache::commit_of(std::string_view repository,
                                            const std::string& revision) const {
  if (is_commit(revision)) return revision;
  constexpr int64_t kLongestRef = 256;  // bytes
  const fs::path ref = model_folder(repository) / "refs" / revision;
  std::error_code missing;
  if (!fs::is_regular_file(ref, missing)) return {};
  std::string commit = files::read_file(ref, kLongestRef);
  while (!commit.empty() && commit.back() == '\n') commit.pop_back();
  if (is_commit(commit)) return commit;
  fail("{}: expected a commit, 40 hexadecimal digits, found '{}': remove this file", ref.string(),
       printable(commit));
}

std::vector<std::string> Cache::repositories() const {
  std::vector<std::string> found;
  for (const std::string& name : folders_in(folder_)) {
    if (std::string repository = repository_in(name); !repository.empty())
      found.push_back(std::move(repository));
  }
  return found;
}

std::vector<std::string> Cache::commits(std::string_view repository) const {
  std::vector<std::string> found = folders_in(model_folder(repository) / "snapshots");
  std::erase_if(found, [](const std::string& name) { return !is_commit(name); });
  return found;
}

std::string repository_of(const fs::path& path) {
  fs::path folder;
  for (const fs::path& part : path) {
    const std::string above = folder.filename().string();
    folder /= part;
    if (above != "snapshots" || !is_commit(part.string())) continue;
    return repository_in(folder.parent_path().parent_path().filename().string());
  }
  return {};
}

std::vector<std::string> file_paths(const fs::path& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code broken;
    if (entry->is_regular_file(broken))
      paths.push_back(entry->path().lexically_relative(folder).generic_string());
  }
  std::ranges::sort(paths);
  return paths;
}

}  // namespace evo::hub
