#include "text/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace evo {
namespace {

// A file that disappears unless it is renamed to its final name.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& path)
      : path_(path),
        temporary_(fmt::format("{}.tmp.{}", path, getpid())),
        descriptor_(open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0) fail_with_errno();
  }
  ~TemporaryFile() {
    if (descriptor_ >= 0) close(descriptor_);
    if (!temporary_.empty()) unlink(temporary_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::string_view content) {
    while (!content.empty()) {
      const ssize_t written = ::write(descriptor_, content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail_with_errno();
      content.remove_prefix(static_cast<size_t>(written));
    }
  }

  void commit() {
    if (fsync(descriptor_) != 0) fail_with_errno();
    if (rename(temporary_.c_str(), path_.c_str()) != 0) fail_with_errno();
    temporary_.clear();
    // Makes the new name itself durable. Some file systems cannot, and the content is safe.
    const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
    const int directory = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY);
    if (directory >= 0) {
      fsync(directory);
      close(directory);
    }
  }

 private:
  [[noreturn]] void fail_with_errno() const {
    fail("cannot write {}: {}", path_, errno_message(errno));
  }

  std::string path_, temporary_;
  int descriptor_;
};

}  // namespace

std::string read_small_file(const std::string& path, size_t max_size) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) fail("cannot read {}: {}", path, errno_message(error.value()));
  if (size > max_size) {
    fail("{} has {} bytes, more than the {} that such a file may have", path, size, max_size);
  }
  std::ifstream file(path, std::ios::binary);
  std::string content(size, '\0');
  if (!file.read(content.data(), static_cast<std::streamsize>(size))) {
    fail("cannot read {}: {}", path, errno_message(errno));
  }
  return content;
}

void replace_file(const std::string& path, std::string_view content) {
  TemporaryFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace evo
