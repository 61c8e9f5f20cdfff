#include "hub/model_name.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/error.h"
#include "base/terminal/text_width.h"

namespace evo::hub {
namespace {

constexpr size_t kLongestPart = 96;    // of a repository's name, as hubs have it
constexpr size_t kLongestName = 255;   // of a file in a folder
constexpr size_t kLongestPath = 1024;  // all folders included

bool is_letter_or_digit(char c) {
  return is_letter(c) || is_digit(c);
}

bool is_repository_part(std::string_view part) {
  if (part.empty() || part.size() > kLongestPart) return false;
  const auto inner = [](char c) {
    return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.';
  };
  const auto edge = [](char c) { return is_letter_or_digit(c) || c == '_'; };
  // In the cache's folders "--" stands for the slash.
  return std::ranges::all_of(part, inner) && edge(part.front()) && edge(part.back()) &&
         part.find("--") == part.npos && part.find("..") == part.npos && !part.ends_with(".git");
}

bool is_repository(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return is_repository_part(text);
  return is_repository_part(text.substr(0, slash)) && is_repository_part(text.substr(slash + 1));
}

}  // namespace

std::string ModelName::text() const {
  return repository + (revision.empty() ? "" : "@" + revision) + (file.empty() ? "" : ":" + file);
}

std::string ModelName::wanted_revision() const {
  return revision.empty() ? "main" : revision;
}

std::optional<ModelName> find_model_name(std::string_view text) {
  ModelName name;
  const size_t colon = text.find(':');
  if (colon != text.npos) {
    name.file = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (fault_of_path(name.file)) return {};
  }
  const size_t at = text.find('@');
  if (at != text.npos) {
    name.revision = text.substr(at + 1);
    text = text.substr(0, at);
    if (fault_of_path(name.revision)) return {};
  }
  if (!is_repository(text)) return {};
  name.repository = text;
  return name;
}

ModelName parse_model_name(std::string_view text) {
  if (const auto name = find_model_name(text)) return *name;
  fail(
      "'{}': expected the name of a model, as in OWNER/NAME, OWNER/NAME@REVISION or "
      "OWNER/NAME:Q4_K_M, OWNER/NAME:FILE",
      printable(text));
}

std::optional<std::string> fault_of_path(std::string_view path) {
  if (path.empty()) return "is empty";
  if (path.size() > kLongestPath) return fmt::format("is longer than {} bytes", kLongestPath);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (std::ranges::any_of(path, is_control)) return "has a control character";
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty()) return begin == 0 ? "begins with '/'" : "has a part without a name";
    if (part == "." || part == "..") return fmt::format("has the part '{}'", part);
    if (part.size() > kLongestName)
      return fmt::format("has a part of more than {} bytes", kLongestName);
    begin = end + 1;
  }
  return {};
}

bool is_commit(std::string_view text) {
  constexpr size_t kDigits = 40;
  return text.size() == kDigits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace evo::hub
