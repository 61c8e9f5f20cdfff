#include "hub/download.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/process/descriptor.h"
#include "base/process/watcher.h"
#include "base/terminal/progress.h"
#include "base/terminal/text_width.h"
#include "files/files.h"
#include "hub/cache/cache.h"
#include "hub/digest.h"

namespace evo::hub {

namespace fs = std::filesystem;

namespace {

constexpr auto kLook = std::chrono::milliseconds(50);  // how soon a stop is heard of

void check_interrupt() {
  if (!interrupted()) return;
  fail_interrupted("interrupted: what has arrived is kept, and the same command goes on");
}

void make_folder_of(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) fail("cannot make the folder {}: {}", path.parent_path().string(), error.message());
}

/// Links are not followed: nothing but the cache's own files is written to.
int open_own(const fs::path& path) {
  make_folder_of(path);
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor < 0) files::fail_writing(path, errno);
  return descriptor;
}

/// Waits until nobody else downloads the same file.
class BlobLock {
 public:
  explicit BlobLock(const Download& what) : file_(open_own(what.lock)) {
    bool said = false;
    while (flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR)
        fail("cannot lock {}: {}", what.lock.string(), errno_message(errno));
      check_interrupt();
      if (!std::exchange(said, true))
        log_info("{}: another process downloads it; waiting for that", what.file.path);
      std::this_thread::sleep_for(kLook);
    }
  }

 private:
  Descriptor file_;
};

/// BLOB.incomplete, and the digest of what is in it.
class PartialFile {
 public:
  PartialFile(const Download& what, const OnBytes& on_bytes)
      : path_(what.blob.string() + std::string(kUnfinished)),
        size_(what.file.size),
        file_(open_own(path_)),
        digest_(digest_kind(what.file.digest, what.file.path, "its digest"), what.file.size),
        on_bytes_(on_bytes) {
    struct stat status {};
    if (fstat(file_.get(), &status) != 0) files::fail_writing(path_, errno);
    if (status.st_size > size_) {
      restart();
    } else {
      read_again(status.st_size);
    }
  }

  [[nodiscard]] int64_t bytes() const { return bytes_; }
  [[nodiscard]] int64_t received() const { return received_; }  ///< over the network
  [[nodiscard]] bool whole() const { return bytes_ == size_; }

  void add(std::string_view piece) {
    if (std::cmp_greater(piece.size(), size_ - bytes_)) {
      fail("{}: the server sends more than the {} bytes that the hub lists", path_.string(), size_);
    }
    for (std::string_view rest = piece; !rest.empty();) {
      const ssize_t written = write(file_.get(), rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) files::fail_writing(path_, errno);
      rest.remove_prefix(static_cast<size_t>(written));
      bytes_ += written;
    }
    digest_.add(piece);
    received_ += std::ssize(piece);
    if (on_bytes_) on_bytes_(bytes_);
  }

  void restart() {
    if (ftruncate(file_.get(), 0) != 0 || lseek(file_.get(), 0, SEEK_SET) != 0)
      files::fail_writing(path_, errno);
    bytes_ = 0;
    digest_.restart();
    if (on_bytes_) on_bytes_(0);
  }

  [[nodiscard]] std::string digest() { return digest_.finish(); }

  void become(const fs::path& blob) {
    if (fsync(file_.get()) != 0 || rename(path_.c_str(), blob.c_str()) != 0)
      files::fail_writing(blob, errno);
    files::sync_folder(blob.parent_path());
  }
  void remove() const { unlink(path_.c_str()); }

 private:
  void read_again(int64_t size) {
    std::vector<char> piece(size_t{1} << 20);
    while (bytes_ < size) {
      check_interrupt();
      const ssize_t got = read(file_.get(), piece.data(), piece.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail("cannot read {}: {}", path_.string(), errno_message(errno));
      if (got == 0) return;  // somebody made it shorter
      digest_.add({piece.data(), static_cast<size_t>(got)});
      bytes_ += got;
    }
    if (on_bytes_ && bytes_ > 0) on_bytes_(bytes_);
  }

  fs::path path_;
  int64_t size_, bytes_ = 0, received_ = 0;
  Descriptor file_;
  Digest digest_;
  const OnBytes& on_bytes_;
};

/// The first byte of "bytes FIRST-LAST/WHOLE"; -1 for anything else.
int64_t first_byte(std::string_view range) {
  constexpr std::string_view kUnit = "bytes ";
  int64_t first = -1;
  if (!range.starts_with(kUnit)) return -1;
  range.remove_prefix(kUnit.size());
  std::from_chars(range.data(), range.data() + range.size(), first);
  return first;
}

/// Before the body: a server may send all although a part was asked for.
void begin_body(PartialFile& partial, const Reply& reply, const RemoteFile& file) {
  constexpr int64_t kPartialContent = 206;
  if (reply.status != kPartialContent) {
    if (partial.bytes() > 0) partial.restart();
  } else if (first_byte(reply.header("content-range")) != partial.bytes()) {
    fail("{}: asked for bytes from {} on, got '{}'", file.path, partial.bytes(),
         printable(reply.header("content-range")));
  }
  const std::string length = reply.header("content-length");
  int64_t bytes = 0;
  const auto [end, fault] = std::from_chars(length.data(), length.data() + length.size(), bytes);
  if (fault == std::errc() && bytes != file.size - partial.bytes()) {
    fail("{}: expected {} bytes as the hub lists them, the server has {}", file.path, file.size,
         bytes + partial.bytes());
  }
}

void fetch_rest(HttpClient& client, const Download& what, PartialFile& partial) {
  constexpr int64_t kNoSuchRange = 416;
  try {
    client.get({what.url, partial.bytes(),
                [&](const Reply& head) { begin_body(partial, head, what.file); },
                [&](std::string_view piece) { partial.add(piece); }});
  } catch (const RefusedError& error) {
    if (error.reply().status != kNoSuchRange || partial.bytes() == 0) throw;
    return partial.restart();
  }
  if (partial.whole()) return;
  throw TransferError(fmt::format("{}: the transfer ended after {} of {} bytes", what.file.path,
                                  partial.bytes(), what.file.size));
}

}  // namespace

void Retry::wait(const TransferError& error, bool progressed) {
  failures_ = progressed ? 1 : failures_ + 1;
  const double ours = patience_.first_wait * static_cast<double>(int64_t{1} << (failures_ - 1));
  const double seconds = std::max(ours, static_cast<double>(error.wait_seconds()));
  if (static_cast<double>(error.wait_seconds()) > patience_.longest_wait) {
    fail("{}: the server asks to wait {}; the same command then goes on", error.what(),
         format_duration(seconds));
  }
  if (failures_ >= patience_.attempts) {
    fail("{}: given up after {} attempts; the same command goes on from what has arrived",
         error.what(), failures_);
  }
  log_info("{}; again in {:.0f} s", error.what(), seconds);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    check_interrupt();
    std::this_thread::sleep_for(kLook);
  }
}

bool is_there(const fs::path& blob, int64_t size) {
  std::error_code missing;
  return fs::is_regular_file(blob, missing) && std::cmp_equal(fs::file_size(blob, missing), size);
}

int64_t download(HttpClient& client, const Download& what, const Patience& patience,
                 const OnBytes& on_bytes) {
  const BlobLock lock(what);
  if (is_there(what.blob, what.file.size)) return 0;
  PartialFile partial(what, on_bytes);
  for (bool resumed = partial.bytes() > 0;; resumed = false) {
    Retry retry(patience);
    while (!partial.whole()) {
      const int64_t before = partial.received();
      try {
        fetch_rest(client, what, partial);
      } catch (const TransferError& error) {
        retry.wait(error, partial.received() > before);
      }
    }
    const std::string found = partial.digest();
    if (found == what.file.digest) break;
    if (!resumed) {
      partial.remove();
      fail(
          "{}: the content that came is not the one that the hub lists: expected {}, found {}. It "
          "was "
          "thrown away; try again, or another endpoint",
          what.file.path, what.file.digest, found);
    }
    log_info("{}: what was left of an earlier attempt is damaged: all of it again", what.file.path);
    partial.restart();
  }
  partial.become(what.blob);
  return partial.received();
}

}  // namespace evo::hub
