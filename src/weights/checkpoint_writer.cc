#include "weights/checkpoint_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <numeric>
#include <utility>

#include "base/log.h"
#include "base/process/interrupt.h"
#include "base/terminal/progress.h"
#include "base/threads/parallel.h"
#include "files/files.h"

namespace evo::weights {

namespace fs = std::filesystem;

namespace {

void write_at(int descriptor, int64_t offset, std::span<const std::byte> bytes,
              const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) files::fail_writing(path, errno);
    bytes = bytes.subspan(written);
    offset += written;
  }
}

}  // namespace

CheckpointWriter::CheckpointWriter(const CheckpointFolder& folder, int64_t step,
                                   const std::vector<ArrayToWrite>& arrays)
    : folder_(folder), step_(step), layout_(safetensors_layout(arrays)) {
  EVO_CHECK(step >= 0);
}

CheckpointWriter::~CheckpointWriter() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!created_) return;
  keep_if_ended(fs::absolute(arrays_path()).string());
  std::error_code error;
  fs::remove_all(folder_.temporary_folder_of(step_), error);
  if (error) log_warning("cannot remove an unfinished checkpoint: {}", error.message());
}

fs::path CheckpointWriter::arrays_path() const {
  return folder_.temporary_folder_of(step_) / CheckpointFolder::kArraysName;
}

void CheckpointWriter::create() {
  const fs::path made = folder_.temporary_folder_of(step_);
  std::error_code error;
  fs::remove_all(made, error);
  fs::create_directory(made, error);
  if (error) fail("cannot make folder {}: {}", made.string(), error.message());
  created_ = true;
  remove_if_ended(fs::absolute(arrays_path()).string(), true);
  open(O_CREAT | O_EXCL);
  if (ftruncate(descriptor_, layout_.file_bytes) != 0) files::fail_writing(arrays_path(), errno);
  write_at(descriptor_, 0, std::as_bytes(std::span(layout_.head)), arrays_path());
}

void CheckpointWriter::open(int flags) {
  descriptor_ = ::open(arrays_path().c_str(), O_WRONLY | O_CLOEXEC | flags, 0666);
  if (descriptor_ < 0) files::fail_writing(arrays_path(), errno);
}

void CheckpointWriter::write(size_t array, int64_t first, std::span<const float> values) {
  if (descriptor_ < 0) open(0);
  const int64_t begin = layout_.begin.at(array) + first * static_cast<int64_t>(sizeof(float));
  write_at(descriptor_, begin, std::as_bytes(values), arrays_path());
}

void CheckpointWriter::sync() {
  if (descriptor_ < 0) return;  // this process had nothing to write
  if (fsync(descriptor_) != 0) files::fail_writing(arrays_path(), errno);
  // Some file systems report a full disk only on close.
  if (close(std::exchange(descriptor_, -1)) != 0) files::fail_writing(arrays_path(), errno);
}

uint64_t CheckpointWriter::checksum(int share, int shares) const {
  // A checkpoint is several times as large as the model: it is not to be in memory as a whole.
  const files::MappedFile file(arrays_path());
  return checksum_of_pieces(file.bytes(), share, shares,
                            [&](std::span<const std::byte> piece) { file.forget(piece); });
}

void CheckpointWriter::commit(const json::Record& state, uint64_t checksum) {
  folder_.publish(step_, state, checksum);
  created_ = false;
  keep_if_ended(fs::absolute(arrays_path()).string());
}

uint64_t checksum_of_pieces(std::span<const std::byte> bytes, int share, int shares,
                            const std::function<void(std::span<const std::byte>)>& done) {
  constexpr int64_t kSummedAtATime = int64_t{1} << 20;
  const int64_t pieces = (std::ssize(bytes) + kSummedAtATime - 1) / kSummedAtATime;
  const int64_t own = (pieces - share + shares - 1) / shares;
  std::vector<uint64_t> checksums(static_cast<size_t>(std::max<int64_t>(own, 0)));
  parallel_items(std::ssize(checksums), [&](int64_t i) {
    const int64_t piece = share + i * shares;
    const auto content =
        bytes.subspan(piece * kSummedAtATime,
                      std::min(kSummedAtATime, std::ssize(bytes) - piece * kSummedAtATime));
    // With its number, so that pieces which change places are noticed.
    const std::array<uint64_t, 2> numbered = {static_cast<uint64_t>(piece),
                                              files::checksum64(content)};
    checksums[i] = files::checksum64(std::as_bytes(std::span(numbered)));
    if (done) done(content);
  });
  return std::accumulate(checksums.begin(), checksums.end(), uint64_t{0});
}

}  // namespace evo::weights
