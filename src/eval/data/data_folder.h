// Where the files of benchmarks are found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "eval/data/data_rows.h"

namespace evo::eval {

/// A file that is not in the folder; what the folder holds is not at fault.
class MissingData : public Error {
 public:
  using Error::Error;
};

/// A folder that the user points to. Files may lie in it or in folders of it, compressed (.gz, .xz,
/// .zst) or inside a .zip archive, which counts as a folder of its name without ".zip".
///
/// Files are looked up by the end of their path: "gsm8k/test.jsonl" is any test.jsonl in a folder
/// gsm8k, however deep that lies, the folder that the user points to included. Candidates are tried
/// in their order; of several files that match one, the least deep is taken, then the first by
/// name.
class DataFolder {
 public:
  /// Throws Error if there is no such folder, or if there is far more in it than benchmarks.
  explicit DataFolder(const std::filesystem::path& root);

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }

  /// The first file that there is; nothing if there is none. Throws Error if it cannot be read.
  [[nodiscard]] std::optional<DataFile> find(const std::vector<std::string>& names) const;
  /// Throws MissingData that lists the names if there is none.
  [[nodiscard]] DataFile read(const std::vector<std::string>& names) const;

 private:
  struct Entry {
    std::filesystem::path file;
    std::optional<std::string> member;  ///< of the archive `file`
  };
  void add_folder(const std::filesystem::path& folder, int depth);
  void add_file(const std::filesystem::path& path);
  void add_archive(const std::filesystem::path& path);
  void add(const std::filesystem::path& path, Entry entry);
  [[nodiscard]] const Entry* lookup(std::string_view name) const;

  std::filesystem::path root_;
  /// By path, without an ending of compression; a member's begins with that of its archive.
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::string> unreadable_;  ///< why an archive could not be listed
};

}  // namespace evo::eval
