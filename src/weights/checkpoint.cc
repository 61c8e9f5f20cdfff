#include "weights/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/log.h"
#include "weights/checkpoint_writer.h"

namespace evo::weights {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kTemporaryPrefix = ".tmp-step-";
constexpr const char* kPiecesChecksum = "arrays_pieces_checksum";

std::string hex(uint64_t value) {
  return fmt::format("{:016x}", value);
}

std::string checksum_of(const std::string& text) {
  return hex(files::checksum64(std::as_bytes(std::span(text))));
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

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
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

fs::path CheckpointFolder::temporary_folder_of(int64_t step) const {
  return dir_ / fmt::format("{}{:08}", kTemporaryPrefix, step);
}

void CheckpointFolder::save(int64_t step, const std::vector<ArrayToWrite>& arrays,
                            const json::Record& state) const {
  CheckpointWriter writer(*this, step, arrays);
  writer.create();
  for (size_t i = 0; i < arrays.size(); ++i) writer.write(i, 0, arrays[i].values);
  writer.sync();
  writer.commit(state, writer.checksum(0, 1));
}

void CheckpointFolder::publish(int64_t step, const json::Record& state, uint64_t checksum) const {
  json::Record file;
  file.set("step", step);
  file.set(kPiecesChecksum, hex(checksum)).set("state_checksum", checksum_of(state.dump()));
  file.set("state", state);
  file.save(temporary_folder_of(step) / kStateName);
  put_in_place(temporary_folder_of(step), folder_of(step));
  files::sync_folder(dir_);
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
    if (step && path.filename() == folder_of(*step).filename() && is_file(path / kArraysName) &&
        is_file(path / kStateName)) {
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

json::Record CheckpointFolder::state_file(int64_t step) const {
  const fs::path path = folder_of(step) / kStateName;
  constexpr int64_t kMaxStateBytes = int64_t{1} << 30;
  json::Record file = json::Record::load(path, kMaxStateBytes);
  if (file.get_int("step") == step) return file;
  fail("{}: this is step {}, expected {}; was the folder renamed?", path.string(),
       file.get_int("step"), step);
}

Checkpoint CheckpointFolder::load_unchecked(int64_t step) const {
  return {step, state_file(step).get_record("state"),
          SafetensorsFile(folder_of(step) / kArraysName)};
}

Checkpoint CheckpointFolder::load(int64_t step) const {
  const json::Record file = state_file(step);
  Checkpoint checkpoint = load_unchecked(step);
  const auto expect = [](const std::string& found, const std::string& expected,
                         const fs::path& path) {
    if (found == expected) return;
    fail("{}: the checksum is wrong: the file is damaged; use an earlier checkpoint",
         path.string());
  };
  expect(checksum_of(checkpoint.state.dump()), file.get_string("state_checksum"),
         folder_of(step) / kStateName);
  const std::span<const std::byte> bytes = checkpoint.arrays.bytes();
  if (file.has(kPiecesChecksum)) {
    expect(hex(checksum_of_pieces(bytes, 0, 1)), file.get_string(kPiecesChecksum),
           checkpoint.arrays.path());
  } else {  // of an earlier version
    expect(hex(files::checksum64(bytes)), file.get_string("arrays_checksum"),
           checkpoint.arrays.path());
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

}  // namespace evo::weights
