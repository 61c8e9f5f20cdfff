// What a hub answers, read from its JSON and distrusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evo::hub {

/// A file of a repository as the hub lists it.
struct RemoteFile {
  std::string path;    ///< one that is safe to join to a folder (model_name.h)
  int64_t size = 0;    ///< bytes
  std::string digest;  ///< of its content, see digest.h
};

/// The commit that a revision is, from the answer to /api/models/REPOSITORY/revision/REVISION.
/// Throws Error naming `source` if it is not forty hexadecimal digits.
[[nodiscard]] std::string commit_of(std::string_view json, std::string_view source);

/// The files in an answer to /api/models/REPOSITORY/tree/COMMIT; folders are left out. Throws Error
/// naming `source` and the entry that is wrong, one with an unsafe path among them.
[[nodiscard]] std::vector<RemoteFile> files_of(std::string_view json, std::string_view source);

/// The address of the next part of an answer, from its header "Link" (RFC 8288); or empty.
[[nodiscard]] std::string next_page(std::string_view link_header);

}  // namespace evo::hub
