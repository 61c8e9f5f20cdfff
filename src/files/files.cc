#include "files/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/process/descriptor.h"
#include "base/process/interrupt.h"
#include "base/terminal/progress.h"

namespace evo::files {

namespace fs = std::filesystem;

namespace {

int open_for_reading(const fs::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail("cannot read {}: {}", path.string(), errno_message(errno));
  return descriptor;
}

struct stat status_of(int descriptor, const fs::path& path) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) {
    fail("cannot read {}: {}", path.string(), errno_message(errno));
  }
  if (S_ISDIR(status.st_mode)) fail("{} is a folder; expected a file", path.string());
  return status;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Where a write to `path` goes: through a symbolic link to the file it names. Renaming over a
/// device such as /dev/stdout would replace the device.
fs::path write_target(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return path;
  if (fs::is_directory(status)) fail("cannot write {}: it is a folder", path.string());
  if (!fs::is_regular_file(status)) fail("cannot write {}: it is not a file", path.string());
  return fs::canonical(path);
}

}  // namespace

void fail_writing(const fs::path& path, int error_number) {
  std::error_code unknown;
  const fs::space_info space = fs::space(folder_of(path), unknown);
  const std::string free_space =
      unknown ? ""
              : fmt::format(" ({} free on that disk)",
                            format_bytes(static_cast<double>(space.available)));
  const bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
  fail("cannot write {}: {}{}{}", path.string(), errno_message(error_number), free_space,
       full ? "; make room or choose another folder" : "");
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const Descriptor descriptor(open_for_reading(path));
  const struct stat status = status_of(descriptor.get(), path);
  if (!S_ISREG(status.st_mode)) fail("{} is not a regular file", path.string());
  if (status.st_size == 0) fail("{} is empty: was writing or copying it cut short?", path.string());
  const auto size = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (data == MAP_FAILED) fail("cannot map {}: {}", path.string(), errno_message(errno));
  bytes_ = {static_cast<const std::byte*>(data), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void MappedFile::forget(std::span<const std::byte> part) const {
  // Whole pages, and only those that hold nothing but the part's bytes or ones before it.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(part.data()) + part.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

std::string read_file(const fs::path& path, int64_t max_bytes) {
  const Descriptor descriptor(open_for_reading(path));
  status_of(descriptor.get(), path);
  std::string content;
  std::array<char, 1 << 16> chunk;
  while (true) {  // to the end rather than to the reported size, so that pipes work
    const ssize_t got = read(descriptor.get(), chunk.data(), chunk.size());
    if (got == 0) return content;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read {}: {}", path.string(), errno_message(errno));
    content.append(chunk.data(), static_cast<size_t>(got));
    if (std::cmp_greater(content.size(), max_bytes)) {
      fail("{} is too large: expected at most {} bytes", path.string(), max_bytes);
    }
  }
}

AtomicFile::AtomicFile(const fs::path& path) : path_(write_target(path)) {
  // The name is unique within the process; a leftover of an earlier process with the same id is
  // stepped over.
  static std::atomic<int> counter{0};
  constexpr int kAttempts = 1000;
  for (int attempt = 0; attempt < kAttempts && descriptor_ < 0; ++attempt) {
    temporary_ = folder_of(path_) / fmt::format(".{}.{}-{}.tmp", path_.filename().string(),
                                                getpid(), counter.fetch_add(1));
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST) break;
  }
  if (descriptor_ < 0) fail_writing(path_, errno);
  remove_if_ended(fs::absolute(temporary_).string());
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (temporary_.empty()) return;
  unlink(temporary_.c_str());
  keep_if_ended(fs::absolute(temporary_).string());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  EVO_CHECK(descriptor_ >= 0);
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_writing(path_, errno);
    bytes = bytes.subspan(written);
  }
}

void AtomicFile::rewrite(int64_t offset, std::span<const std::byte> bytes) {
  EVO_CHECK(descriptor_ >= 0);
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_writing(path_, errno);
    bytes = bytes.subspan(written);
    offset += written;
  }
}

void AtomicFile::commit() {
  EVO_CHECK(descriptor_ >= 0);
  if (fsync(descriptor_) != 0) fail_writing(path_, errno);
  // Some file systems report a full disk only on close.
  if (close(std::exchange(descriptor_, -1)) != 0) fail_writing(path_, errno);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) fail_writing(path_, errno);
  keep_if_ended(fs::absolute(temporary_).string());
  temporary_.clear();
  sync_folder(folder_of(path_));
}

void write_atomically(const fs::path& path, const std::function<void(AtomicFile&)>& writer) {
  AtomicFile file(path);
  writer(file);
  file.commit();
}

void write_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  write_atomically(path, [&](AtomicFile& file) { file.write(bytes); });
}

void write_atomically(const fs::path& path, std::string_view text) {
  write_atomically(path, std::as_bytes(std::span(text)));
}

void sync_folder(const fs::path& folder) {
  const Descriptor descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) fail("cannot open {}: {}", folder.string(), errno_message(errno));
  // EINVAL: this file system cannot sync folders, and there is nothing better to do.
  if (fsync(descriptor.get()) != 0 && errno != EINVAL) {
    fail("cannot sync {}: {}", folder.string(), errno_message(errno));
  }
}

FolderLock::FolderLock(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  const fs::path path = folder / ".lock";
  descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("cannot use folder {}: {}", folder.string(), errno_message(errno));
  if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    close(descriptor_);
    if (reason != EWOULDBLOCK) fail("cannot lock {}: {}", path.string(), errno_message(reason));
    std::string owner = read_file(path, 64);
    if (owner.empty()) owner = "unknown";
    fail("folder {} is in use by process {}; wait for it or choose another folder", folder.string(),
         owner);
  }
  // Only for that message: a lock without a number in it locks as well.
  const std::string id = std::to_string(getpid());
  if (ftruncate(descriptor_, 0) == 0) (void)!::write(descriptor_, id.data(), id.size());
}

FolderLock::~FolderLock() {
  close(descriptor_);
}

uint64_t checksum64(std::span<const std::byte> bytes) {
  // Each step is a bijection of the state for a fixed word and of the word for a fixed state; the
  // rotation carries differences in high bits, which the product would keep high, to low ones.
  constexpr uint64_t kPrime = 0x9E3779B185EBCA87u;
  uint64_t state = 0xCBF29CE484222325u + bytes.size();
  while (!bytes.empty()) {
    uint64_t word = 0;
    const size_t count = std::min(bytes.size(), sizeof word);
    std::memcpy(&word, bytes.data(), count);
    state = (std::rotl(state, 27) ^ word) * kPrime;
    bytes = bytes.subspan(count);
  }
  return state ^ (state >> 32);
}

}  // namespace evo::files
