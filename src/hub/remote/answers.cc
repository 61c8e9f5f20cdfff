#include "hub/remote/answers.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/terminal/text_width.h"
#include "hub/digest.h"
#include "hub/model_name.h"
#include "json/json_text.h"

namespace evo::hub {
namespace {

using Json = nlohmann::ordered_json;

/// nullptr if there is no such member.
const Json* member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string text_of(const Json& object, const char* name, std::string_view source,
                    std::string_view what) {
  const Json* value = member(object, name);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  fail("{}: {}: expected a string \"{}\", found {}", source, what, name,
       value == nullptr ? "none" : printable(json::shortened(value->dump())));
}

int64_t size_of(const Json& object, std::string_view source, std::string_view what) {
  const Json* value = member(object, "size");
  if (value != nullptr && value->is_number_unsigned()) {
    const auto size = value->get<uint64_t>();
    if (std::in_range<int64_t>(size)) return static_cast<int64_t>(size);
  }
  fail("{}: {}: expected \"size\" in bytes, found {}", source, what,
       value == nullptr ? "none" : printable(json::shortened(value->dump())));
}

/// Git LFS keeps large files elsewhere: what Git itself has is a note of a few lines about them,
/// which is not what is downloaded.
RemoteFile file_of(const Json& entry, std::string_view source, size_t number) {
  std::string what = fmt::format("file {}", number);
  RemoteFile file;
  file.path = text_of(entry, "path", source, what);
  if (const auto fault = fault_of_path(file.path)) {
    fail("{}: a file's path '{}' {}: nothing of this repository is taken", source,
         printable(json::shortened(file.path)), *fault);
  }
  what = printable(file.path);
  const Json* lfs = member(entry, "lfs");
  const bool large = lfs != nullptr && !lfs->is_null();
  if (large && !lfs->is_object()) {
    fail("{}: {}: expected an object \"lfs\", found {}", source, what,
         printable(json::shortened(lfs->dump())));
  }
  const Json& described = large ? *lfs : entry;
  file.digest = text_of(described, "oid", source, what);
  file.size = size_of(described, source, what);
  const bool sha256 = digest_kind(file.digest, source, what + "'s oid") == DigestKind::kSha256;
  if (sha256 != large) {
    fail("{}: {}: expected the SHA-256 of a file in LFS, Git's SHA-1 of any other, found '{}'",
         source, what, file.digest);
  }
  return file;
}

}  // namespace

std::string commit_of(std::string_view json, std::string_view source) {
  const Json root = json::parse_json(json, source);
  if (!root.is_object()) fail("{}: expected an object", source);
  std::string commit = text_of(root, "sha", source, "the revision");
  if (is_commit(commit)) return commit;
  fail("{}: expected \"sha\" to be 40 hexadecimal digits, found '{}'", source,
       printable(json::shortened(commit)));
}

std::vector<RemoteFile> files_of(std::string_view json, std::string_view source) {
  const Json root = json::parse_json(json, source);
  if (!root.is_array()) fail("{}: expected an array of files", source);
  std::vector<RemoteFile> files;
  for (size_t i = 0; i < root.size(); ++i) {
    if (!root[i].is_object()) fail("{}: file {}: expected an object", source, i);
    if (text_of(root[i], "type", source, fmt::format("file {}", i)) != "file") continue;
    files.push_back(file_of(root[i], source, i));
  }
  return files;
}

std::string next_page(std::string_view link_header) {
  for (size_t begin = link_header.find('<'); begin != link_header.npos;) {
    const size_t end = link_header.find('>', begin);
    if (end == link_header.npos) return {};
    const size_t next = link_header.find('<', end);
    const std::string_view parameters = link_header.substr(end + 1, next - end - 1);
    if (parameters.find("rel=\"next\"") != parameters.npos ||
        parameters.find("rel=next") != parameters.npos) {
      return std::string(link_header.substr(begin + 1, end - begin - 1));
    }
    begin = next;
  }
  return {};
}

}  // namespace evo::hub
