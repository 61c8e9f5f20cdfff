// The user's folder for what can be made again.
#pragma once

#include <filesystem>

namespace evo::cli {

/// $XDG_CACHE_HOME/evo, else ~/.cache/evo; empty, so that nothing is kept, where neither variable
/// is an absolute path.
[[nodiscard]] std::filesystem::path cache_folder();

}  // namespace evo::cli
