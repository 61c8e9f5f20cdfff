#include "base/process/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>

namespace evo {
namespace {

namespace fs = std::filesystem;

constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();

/// The number behind `key` in a file of lines "key number"; of the first line if `key` is empty.
std::optional<size_t> number_in(const fs::path& path, const std::string& key = "") {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    size_t number = 0;
    if (!key.empty() && !(words >> name && name == key)) continue;
    if (words >> number) return number;
    if (key.empty()) return {};  // "max"
  }
  return {};
}

size_t left_of(size_t limit, size_t used) {
  return limit > used ? limit - used : 0;
}

/// What the group `folder`, and those that it is in up to `top`, leave.
size_t left_in_groups(fs::path folder, const fs::path& top, const char* limit_name,
                      const char* used_name, const char* cache_key) {
  size_t least = kUnlimited;
  while (true) {
    const auto limit = number_in(folder / limit_name), used = number_in(folder / used_name);
    if (limit && used) {
      const size_t cache = number_in(folder / "memory.stat", cache_key).value_or(0);
      least = std::min(least, left_of(*limit, left_of(*used, cache)));
    }
    if (folder == top || !folder.has_relative_path()) return least;
    folder = folder.parent_path();
  }
}

size_t left_in_all_groups(const fs::path& root) {
  const fs::path top = root / "sys/fs/cgroup";
  size_t least = kUnlimited;
  std::ifstream file(root / "proc/self/cgroup");
  // number:controllers:/path, without controllers for version 2. In a container the path may be
  // that of the host, and only the top is there.
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = fs::path(line.substr(second + 1)).relative_path();
    const bool old = controllers == "memory";
    if (!old && !controllers.empty()) continue;
    const fs::path own_top = old ? top / "memory" : top;
    const fs::path own = group.empty() || !fs::exists(own_top / group) ? own_top : own_top / group;
    least = std::min(
        least, old ? left_in_groups(own, own_top, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                    "total_inactive_file")
                   : left_in_groups(own, own_top, "memory.max", "memory.current", "inactive_file"));
  }
  return least;
}

size_t left_of_address_space(const fs::path& root) {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
  const auto pages = number_in(root / "proc/self/statm");
  return left_of(limit.rlim_cur, pages.value_or(0) * static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

}  // namespace

size_t available_memory(const fs::path& root) {
  const auto kilobytes = number_in(root / "proc/meminfo", "MemAvailable:");
  const size_t machine = kilobytes ? *kilobytes * 1024
                                   : static_cast<size_t>(sysconf(_SC_AVPHYS_PAGES)) *
                                         static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return std::min({machine, left_in_all_groups(root), left_of_address_space(root)});
}

}  // namespace evo
