// What the names of GGUF files tell: parts of one file, and the format of its weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hub/model_name.h"

namespace evo::hub {

/// A GGUF file, or one that is split into NAME-00001-of-00003.gguf and so on.
struct GgufFile {
  std::string name;           ///< path of its first part
  std::string format;         ///< "Q4_K_M", "BF16", ... in upper case; empty if the name has none
  std::vector<size_t> parts;  ///< places in the list of paths, in order
  size_t expected_parts = 1;
};

/// Those among `paths`, sorted by name. What goes with a model but is none (mmproj-, imatrix) is
/// left out unless `also` names it.
[[nodiscard]] std::vector<GgufFile> gguf_files(std::span<const std::string> paths,
                                               std::string_view also = {});

/// Whether `asked` is the file's path, or the end of its name behind '-', '.' or '/' ("Q4_K_M", in
/// any case).
[[nodiscard]] bool means(std::string_view asked, const GgufFile& file);

/// The one of `files` that `name` means: by its path or the end of its name ("Q4_K_M", in any
/// case), or the only one. Throws Error that lists them otherwise, or says which parts are missing.
/// `sizes`: bytes of each path that gguf_files() was given.
[[nodiscard]] const GgufFile& choose_gguf(std::span<const GgufFile> files, const ModelName& name,
                                          std::span<const int64_t> sizes);

}  // namespace evo::hub
