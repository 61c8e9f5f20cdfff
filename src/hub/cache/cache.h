// The folder that a hub's clients share, in the layout that they have:
//
//   CACHE/models--OWNER--NAME/blobs/DIGEST                contents, named as the hub names them
//                             refs/main                   the commit that a revision was last
//                             snapshots/COMMIT/PATH       links to blobs, under their names
//   CACHE/.locks/models--OWNER--NAME/DIGEST.lock          held while that blob is downloaded
//
// A download in progress is blobs/DIGEST.incomplete.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hub/model_name.h"

namespace evo::hub {

inline constexpr std::string_view kUnfinished = ".incomplete";

class Cache {
 public:
  explicit Cache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::filesystem::path model_folder(std::string_view repository) const;
  [[nodiscard]] std::filesystem::path lock_folder(std::string_view repository) const;
  [[nodiscard]] std::filesystem::path blob(std::string_view repository,
                                           std::string_view digest) const;
  [[nodiscard]] std::filesystem::path snapshot(std::string_view repository,
                                               std::string_view commit) const;
  /// The commit that `revision` (one itself, or a name) was when it was last downloaded.
  [[nodiscard]] std::optional<std::string> commit_of(std::string_view repository,
                                                     const std::string& revision) const;
  /// Repositories of which there is anything.
  [[nodiscard]] std::vector<std::string> repositories() const;
  /// Commits of which there are files.
  [[nodiscard]] std::vector<std::string> commits(std::string_view repository) const;

 private:
  std::filesystem::path folder_;
};

/// The repository whose snapshot `path`, an absolute one, is or is in; empty if it is none.
[[nodiscard]] std::string repository_of(const std::filesystem::path& path);

/// Paths of the files below `folder`, as the hub has them; links are files if they lead to one.
[[nodiscard]] std::vector<std::string> file_paths(const std::filesystem::path& folder);

/// There is no such model, or not all of it.
class NotInCache : public Error {
 public:
  using Error::Error;
};

/// The folder or the GGUF file that `name` means. Throws NotInCache, which says how to get it, or
/// Error, which says how to choose among several.
[[nodiscard]] std::filesystem::path find_model(const Cache& cache, const ModelName& name);

}  // namespace evo::hub
