#include "cli/learnt_costs.h"

#include <cstdlib>
#include <fstream>

#include "base/threads/parallel.h"
#include "cli/options.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

/// As Linux calls it; empty where it does not.
std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name") || line.starts_with("CPU part")) return line;
  }
  return "";
}

}  // namespace

fs::path cache_folder() {
  const auto folder = [](const char* variable) {
    const char* value = std::getenv(variable);
    return value == nullptr ? fs::path() : fs::path(value);
  };
  if (const fs::path cache = folder("XDG_CACHE_HOME"); cache.is_absolute()) return cache / "evo";
  if (const fs::path home = folder("HOME"); home.is_absolute()) return home / ".cache" / "evo";
  return {};
}

LearntCosts::LearntCosts(const Decoder& decoder, Precision precision, const fs::path& folder)
    : decoder_(decoder),
      store_(folder, decoder.model(),
             fmt::format("{}, {} threads, {}", cpu_name(), threads(), precision_name(precision))) {
  store_.recall(decoder);
}

}  // namespace evo
