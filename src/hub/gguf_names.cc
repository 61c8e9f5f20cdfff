#include "hub/gguf_names.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/ascii.h"
#include "base/error.h"
#include "base/terminal/progress.h"
#include "base/terminal/text_width.h"

namespace evo::hub {
namespace {

constexpr std::string_view kExtension = ".gguf";

/// "-00002-of-00003" at the end of a name without its extension.
struct Part {
  std::string_view whole;  // the name before it
  size_t number = 1, of = 1;
};

Part part_of(std::string_view stem) {
  constexpr std::string_view kPattern = "-#####-of-#####";
  Part part{stem};
  if (stem.size() <= kPattern.size()) return part;
  const std::string_view end = stem.substr(stem.size() - kPattern.size());
  for (size_t i = 0; i < end.size(); ++i) {
    if (kPattern[i] == '#' ? !is_digit(end[i]) : end[i] != kPattern[i]) return part;
  }
  size_t number = 0, of = 0;
  std::from_chars(end.data() + 1, end.data() + 6, number);
  std::from_chars(end.data() + 10, end.data() + 15, of);
  if (number < 1 || number > of) return part;
  return {stem.substr(0, stem.size() - kPattern.size()), number, of};
}

std::string_view stem_of(std::string_view path) {
  return path.substr(0, path.size() - kExtension.size());
}

/// Q4_0, IQ2_XXS, TQ1_0, BF16, F32, MXFP4_MOE and their like.
bool is_format(std::string_view word) {
  for (const std::string_view known : {"F32", "F16", "BF16"}) {
    if (word == known) return true;
  }
  for (const std::string_view begin : {"Q", "IQ", "TQ", "MXFP"}) {
    if (word.starts_with(begin) && word.size() > begin.size() && word[begin.size()] >= '0' &&
        word[begin.size()] <= '9') {
      return true;
    }
  }
  return false;
}

/// The last word of the file's name, where words are divided by '-' and '.', if it is a format.
std::string format_of(std::string_view whole) {
  const size_t before = whole.find_last_of("-./");
  const std::string word = upper_case(before == whole.npos ? whole : whole.substr(before + 1));
  return is_format(word) ? word : "";
}

bool is_companion(std::string_view path) {
  const std::string name = upper_case(path.substr(path.rfind('/') + 1));
  return name.starts_with("MMPROJ") || name.find("IMATRIX") != name.npos;
}

/// The model without a file.
std::string without_file(ModelName name) {
  name.file.clear();
  return name.text();
}

/// A line for each file: what to write, and its size.
std::string listed(std::span<const GgufFile> files, const ModelName& name,
                   std::span<const int64_t> sizes) {
  std::string lines;
  for (const GgufFile& file : files) {
    const auto same = std::ranges::count(files, file.format, &GgufFile::format);
    int64_t bytes = 0;
    for (const size_t part : file.parts) bytes += sizes[part];
    lines += fmt::format("{}  {}:{}  {}", lines.empty() ? "" : "\n", without_file(name),
                         printable(file.format.empty() || same > 1 ? file.name : file.format),
                         format_bytes(static_cast<double>(bytes)));
  }
  return lines;
}

}  // namespace

std::vector<GgufFile> gguf_files(std::span<const std::string> paths, std::string_view also) {
  std::map<std::pair<std::string, size_t>, std::map<size_t, size_t>> parts;  // places by number
  for (size_t i = 0; i < paths.size(); ++i) {
    if (!paths[i].ends_with(kExtension) || (is_companion(paths[i]) && paths[i] != also)) continue;
    const Part part = part_of(stem_of(paths[i]));
    parts[{std::string(part.whole), part.of}].emplace(part.number, i);
  }
  std::vector<GgufFile> files;
  for (const auto& [whole, places] : parts) {
    GgufFile file;
    for (const auto& [number, place] : places) file.parts.push_back(place);
    file.name = paths[file.parts.front()];
    file.format = format_of(whole.first);
    file.expected_parts = whole.second;
    files.push_back(std::move(file));
  }
  return files;
}

bool means(std::string_view asked, const GgufFile& file) {
  if (asked == file.name) return true;
  if (asked.ends_with(kExtension)) asked = stem_of(asked);
  const std::string name = upper_case(part_of(stem_of(file.name)).whole);
  const std::string end = upper_case(asked);
  if (!name.ends_with(end)) return false;
  if (name.size() == end.size()) return true;
  const char before = name[name.size() - end.size() - 1];
  return before == '-' || before == '.' || before == '/';
}

const GgufFile& choose_gguf(std::span<const GgufFile> files, const ModelName& name,
                            std::span<const int64_t> sizes) {
  const GgufFile* chosen = nullptr;
  size_t matching = 0;
  for (const GgufFile& file : files) {
    if (!name.file.empty() && !means(name.file, file)) continue;
    chosen = &file;
    ++matching;
    if (file.name == name.file) {
      matching = 1;
      break;
    }
  }
  if (matching != 1) {
    fail("{} has {} GGUF file{}{}: say which, as in\n{}", without_file(name),
         matching == 0 ? "no" : std::to_string(matching), matching == 1 ? "" : "s",
         name.file.empty() ? "" : fmt::format(" '{}'", printable(name.file)),
         listed(files, name, sizes));
  }
  if (chosen->parts.size() == chosen->expected_parts) return *chosen;
  fail("{}: {} has {} parts, of which {} are there: download it again", without_file(name),
       printable(chosen->name), chosen->expected_parts, chosen->parts.size());
}

}  // namespace evo::hub
