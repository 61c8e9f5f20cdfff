#include "io/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/log.h"

namespace evo {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kTemporaryPrefix = ".tmp-step-";
constexpr const char* kArraysName = "state.safetensors";
constexpr const char* kStateName = "state.json";

std::string hex(uint64_t value) {
  return fmt::format("{:016x}", value);
}

std::string checksum_of(const std::string& text) {
  return hex(checksum64(std::as_bytes(std::span(text))));
}

/// The step in "step-00001234", if it is such a name.
std::optional<int64_t> step_of(std::string_view name) {
  constexpr size_t kMinDigits = 8;
  if (!name.starts_with(kPrefix) || name.size() < kPrefix.size() + kMinDigits) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size() || step < 0) return std::nullopt;
  return step;
}

bool is_complete(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / kArraysName, error) &&
         fs::is_regular_file(folder / kStateName, error);
}

void remove_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) log_warning("cannot remove {}: {}", folder.string(), error.message());
}

std::vector<fs::path> entries_of(const fs::path& dir) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (fs::directory_iterator entry(dir, error), end; !error && entry != end;
       entry.increment(error)) {
    paths.push_back(entry->path());
  }
  if (error) fail("cannot read folder {}: {}", dir.string(), error.message());
  return paths;
}

/// Gives `made` the name `target`. An existing `target` is exchanged with it in one step, so that
/// at every moment there is a whole checkpoint of that name.
void put_in_place(const fs::path& made, const fs::path& target) {
  if (rename(made.c_str(), target.c_str()) == 0) return;
  const bool occupied = errno == ENOTEMPTY || errno == EEXIST;
  if (!occupied || renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE)) {
    fail("cannot rename {} to {}: {}", made.string(), target.string(), errno_message(errno));
  }
  remove_folder(made);  // now the old one
}

}  // namespace

CheckpointFolder::CheckpointFolder(fs::path dir, int keep_last)
    : dir_(std::move(dir)), keep_last_(keep_last) {
  EVO_CHECK(keep_last >= 1);
  std::error_code error;
  fs::create_directories(dir_, error);
  if (error) fail("cannot make folder {}: {}", dir_.string(), error.message());
  for (const fs::path& path : entries_of(dir_)) {
    if (path.filename().string().starts_with(kTemporaryPrefix)) remove_folder(path);
  }
}

fs::path CheckpointFolder::folder_of(int64_t step) const {
  return dir_ / fmt::format("{}{:08}", kPrefix, step);
}

void CheckpointFolder::save(int64_t step, const std::vector<ArrayToWrite>& arrays,
                            const Record& state) {
  EVO_CHECK(step >= 0);
  const fs::path made = dir_ / fmt::format("{}{:08}", kTemporaryPrefix, step);
  std::error_code error;
  fs::remove_all(made, error);
  fs::create_directory(made, error);
  if (error) fail("cannot make folder {}: {}", made.string(), error.message());
  try {
    write_safetensors(made / kArraysName, arrays);
    Record file;
    file.set("step", step);
    file.set("arrays_checksum", hex(checksum64(MappedFile(made / kArraysName).bytes())));
    file.set("state_checksum", checksum_of(state.dump()));
    file.set("state", state);
    file.save(made / kStateName);
    put_in_place(made, folder_of(step));
  } catch (const Error&) {
    remove_folder(made);
    throw;
  }
  sync_folder(dir_);
  prune(step);
}

void CheckpointFolder::prune(int64_t newest) const {
  const std::vector<int64_t> all = steps();
  const auto later = std::upper_bound(all.begin(), all.end(), newest);
  const auto kept = later - std::min<ptrdiff_t>(keep_last_, later - all.begin());
  for (auto step = all.begin(); step != all.end(); ++step) {
    if (step < kept || step >= later) remove_folder(folder_of(*step));
  }
}

std::vector<int64_t> CheckpointFolder::steps() const {
  std::vector<int64_t> result;
  for (const fs::path& path : entries_of(dir_)) {
    const std::optional<int64_t> step = step_of(path.filename().string());
    if (step && path.filename() == folder_of(*step).filename() && is_complete(path)) {
      result.push_back(*step);
    }
  }
  std::sort(result.begin(), result.end());
  return result;
}

std::optional<int64_t> CheckpointFolder::latest() const {
  const std::vector<int64_t> all = steps();
  return all.empty() ? std::nullopt : std::optional(all.back());
}

Checkpoint CheckpointFolder::load(int64_t step) const {
  const fs::path state_path = folder_of(step) / kStateName;
  constexpr int64_t kMaxStateBytes = int64_t{1} << 30;
  const Record file = Record::load(state_path, kMaxStateBytes);
  if (file.get_int("step") != step) {
    fail("{}: this is step {}, expected {}; was the folder renamed?", state_path.string(),
         file.get_int("step"), step);
  }
  Checkpoint checkpoint{step, file.get_record("state"),
                        SafetensorsFile(folder_of(step) / kArraysName)};
  if (checksum_of(checkpoint.state.dump()) != file.get_string("state_checksum")) {
    fail("{}: the checksum is wrong: the file is damaged; use an earlier checkpoint",
         state_path.string());
  }
  if (hex(checksum64(checkpoint.arrays.bytes())) != file.get_string("arrays_checksum")) {
    fail("{}: the checksum is wrong: the file is damaged; use an earlier checkpoint",
         checkpoint.arrays.path().string());
  }
  return checkpoint;
}

std::optional<Checkpoint> CheckpointFolder::load_latest_good() const {
  const std::vector<int64_t> all = steps();
  std::string first_error;
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    try {
      return load(*step);
    } catch (const Error& error) {
      log_warning("{}", error.what());
      if (first_error.empty()) first_error = error.what();
    }
  }
  if (!first_error.empty()) throw Error(first_error);
  return std::nullopt;
}

}  // namespace evo
