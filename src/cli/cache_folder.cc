#include "cli/cache_folder.h"

#include <cstdlib>

namespace evo::cli {

namespace fs = std::filesystem;

fs::path cache_folder() {
  const auto folder = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value == nullptr ? fs::path() : fs::path(value);
  };
  if (const fs::path cache = folder("XDG_CACHE_HOME"); cache.is_absolute()) return cache / "evo";
  if (const fs::path home = folder("HOME"); home.is_absolute()) return home / ".cache" / "evo";
  return {};
}

}  // namespace evo::cli
