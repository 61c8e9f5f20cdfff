// Reading .zip archives.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

struct zip;  // of libzip

namespace evo::eval {

class ZipArchive {
 public:
  /// Throws Error if there is no such file or if it is no archive.
  explicit ZipArchive(const std::filesystem::path& path);

  /// Paths inside of the archive, with '/' between folders; folders themselves are left out.
  [[nodiscard]] std::vector<std::string> members() const;
  /// Throws Error if the member is missing, damaged, encrypted or longer than `max_bytes`.
  [[nodiscard]] std::string read(const std::string& member, int64_t max_bytes) const;

 private:
  [[noreturn]] void refuse(const std::string& member) const;  ///< with libzip's reason

  std::filesystem::path path_;
  std::unique_ptr<zip, void (*)(zip*)> zip_;
};

}  // namespace evo::eval
