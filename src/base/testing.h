// What tests share: folders that vanish, files, disks that are full, errors that are expected.
#pragma once

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace evo::testing {

/// Messages are seen in a test's output.
inline const bool kMessagesShown = (log_to_terminal(), true);

/// A fresh folder that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "evo-test-XXXXXX").string();
    EVO_CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }
  /// Names in the folder, hidden ones included, sorted.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      result.push_back(entry.path().filename().string());
    }
    std::sort(result.begin(), result.end());
    return result;
  }

 private:
  std::filesystem::path path_;
};

/// Runs fn, which must throw E (not a class derived from it) with all of `parts` in its message.
template <class E = Error, class Fn>
void expect_error(const Fn& fn, std::initializer_list<std::string_view> parts) {
  try {
    fn();
  } catch (const E& error) {
    EXPECT_EQ(typeid(error), typeid(E)) << error.what();
    for (const std::string_view part : parts) {
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
          << "no \"" << part << "\" in: " << error.what();
    }
    return;
  }
  ADD_FAILURE() << "no Error; expected one with \"" << (parts.size() ? *parts.begin() : "") << '"';
}

inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  EVO_CHECK(file.good());
}

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EVO_CHECK(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void flip_bit(const std::filesystem::path& path, size_t byte, int bit) {
  std::string content = read_bytes(path);
  content.at(byte) = static_cast<char>(content[byte] ^ (1 << bit));
  write_bytes(path, content);
}

/// No file of this process can grow beyond this size, while the object lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    EVO_CHECK(getrlimit(RLIMIT_FSIZE, &kept_) == 0);
    const rlimit small{bytes, kept_.rlim_max};
    EVO_CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &kept_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit kept_{};
  void (*handler_)(int);
};

/// A disk of 64 KB over a folder, while the object lives; not everybody may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const std::filesystem::path& folder)
      : folder_(folder), mounted_(mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") == 0) {}
  ~SmallDisk() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  std::filesystem::path folder_;
  bool mounted_;
};

/// `write` writes a file too large for its place, alone in its folder: an Error, and what was there
/// before is as it was.
template <class Fn>
void expect_refusal_keeps_old(const std::filesystem::path& path, std::string_view reason,
                              const Fn& write) {
  write_bytes(path, "old");
  expect_error(write, {path.string(), reason, "free on that disk"});
  EXPECT_EQ(read_bytes(path), "old");
  const std::filesystem::directory_iterator files(path.parent_path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

}  // namespace evo::testing
