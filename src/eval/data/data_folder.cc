#include "eval/data/data_folder.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "eval/data/zip_archive.h"
#include "files/files.h"

namespace evo::eval {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 6;
constexpr size_t kMaxFiles = 100'000;
constexpr int64_t kMaxBytes = int64_t{1} << 30;

/// Visible entries, sorted, so that what is found does not depend on the file system. A folder that
/// may not be read counts as empty.
std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  fs::directory_iterator at(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    if (!at->path().filename().string().starts_with('.')) entries.push_back(*at);
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool ends_with_path(std::string_view path, std::string_view end) {
  return path.ends_with(end) && path.size() > end.size() &&
         path[path.size() - end.size() - 1] == '/';
}

}  // namespace

DataFolder::DataFolder(const fs::path& root) {
  std::error_code error;
  if (!fs::is_directory(root, error)) {
    fail("there is no folder {}; expected the one with the files of benchmarks", root.string());
  }
  root_ = fs::canonical(root);
  add_folder(root_, 0);
}

void DataFolder::add_folder(const fs::path& folder, int depth) {
  for (const fs::directory_entry& entry : entries_of(folder)) {
    std::error_code error;
    if (entry.is_directory(error)) {
      if (depth < kMaxDepth) add_folder(entry.path(), depth + 1);
    } else if (entry.is_regular_file(error)) {
      add_file(entry.path());
    }
  }
}

void DataFolder::add_file(const fs::path& path) {
  add(path, {path, std::nullopt});
  if (path.extension() == ".zip") add_archive(path);
}

void DataFolder::add_archive(const fs::path& path) {
  fs::path folder = path;
  folder.replace_extension();
  try {
    for (std::string& member : ZipArchive(path).members()) {
      const fs::path inside = folder / fs::path(member).relative_path();
      add(inside, {path, std::move(member)});
    }
  } catch (const Error& error) {
    unreadable_.emplace_back(error.what());  // matters only to who looks for what is in it
  }
}

void DataFolder::add(const fs::path& path, Entry entry) {
  // Files come sorted, so that of the same one in several forms the uncompressed one is kept.
  entries_.try_emplace(std::string(without_compression(path.string())), std::move(entry));
  if (entries_.size() > kMaxFiles) {
    fail("there are more than {} files in {}; expected a folder with the files of benchmarks only",
         kMaxFiles, root_.string());
  }
}

const DataFolder::Entry* DataFolder::lookup(std::string_view name) const {
  const Entry* best = nullptr;
  std::ptrdiff_t best_depth = 0;
  for (const auto& [path, entry] : entries_) {
    if (!ends_with_path(path, name)) continue;
    const std::ptrdiff_t depth = std::count(path.begin(), path.end(), '/');
    if (best != nullptr && depth >= best_depth) continue;
    best = &entry;
    best_depth = depth;
  }
  return best;
}

std::optional<DataFile> DataFolder::find(const std::vector<std::string>& names) const {
  const Entry* entry = nullptr;
  for (const std::string& name : names) {
    if ((entry = lookup(name)) != nullptr) break;
  }
  if (entry == nullptr) return std::nullopt;
  DataFile file;
  if (entry->member) {
    file.name = fmt::format("{}:{}", entry->file.string(), *entry->member);
    file.text = ZipArchive(entry->file).read(*entry->member, kMaxBytes);
  } else {
    file.name = entry->file.string();
    file.text = files::read_text(entry->file, kMaxBytes);
  }
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (file.text.starts_with(kByteOrderMark)) file.text.erase(0, kByteOrderMark.size());
  return file;
}

DataFile DataFolder::read(const std::vector<std::string>& names) const {
  if (std::optional<DataFile> file = find(names)) return *std::move(file);
  std::string message = fmt::format(
      "{} has no file {}; looked in it and in its folders and .zip archives, for compressed files "
      "too",
      root_.string(), fmt::join(names, " or "));
  for (const std::string& reason : unreadable_) message += fmt::format(" ({})", reason);
  throw MissingData(message);
}

}  // namespace evo::eval
