#include "base/threads/cpu_limit.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace evo {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

/// A mount's path as it is: mountinfo writes spaces and the like as \040.
std::string unescaped(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(&text[i + 1], &text[i + 4], code, 8).ptr == &text[i + 4]) {
      plain += static_cast<char>(code);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

/// Where a hierarchy of control groups is mounted, and which of its groups is seen there.
struct Mount {
  fs::path folder, group;
};

/// A group of this process that limits CPU, and the version of its files.
struct Group {
  fs::path path;
  int version = 0;
};

bool contains(const std::string& list, std::string_view wanted) {
  return std::ranges::count(split(list, ','), wanted) > 0;
}

/// Of /proc/self/cgroup: `number:controllers:path`, with no controllers in version 2.
std::vector<Group> groups_of_process(const fs::path& root) {
  std::vector<Group> groups;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) groups.push_back({path, 2});
    if (contains(controllers, "cpu")) groups.push_back({path, 1});
  }
  return groups;
}

/// Of /proc/self/mountinfo: `id parent device root folder options... - type source options`.
std::optional<Mount> find_mount(const fs::path& root, int version) {
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> fields = split(line, ' ');
    const auto dash = std::ranges::find(fields, "-");
    if (fields.size() < 5 || fields.end() - dash < 4) continue;
    const bool wanted =
        version == 2 ? dash[1] == "cgroup2" : dash[1] == "cgroup" && contains(dash[3], "cpu");
    if (wanted) return Mount{unescaped(fields[4]), unescaped(fields[3])};
  }
  return {};
}

std::optional<double> number_in(const std::string& word) {
  double value = 0;
  const char* const end = word.data() + word.size();
  if (std::from_chars(word.data(), end, value).ptr != end || !(value > 0) || !std::isfinite(value))
    return {};
  return value;
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// What the files of one group allow; nothing if they set no limit ("max", -1) or are not there.
std::optional<double> quota_in(const fs::path& folder, int version) {
  std::vector<std::string> words;
  if (version == 2) {
    words = split(first_line(folder / "cpu.max"), ' ');
  } else {
    words = {first_line(folder / "cpu.cfs_quota_us"), first_line(folder / "cpu.cfs_period_us")};
  }
  if (words.size() != 2) return {};
  const std::optional<double> quota = number_in(words[0]), period = number_in(words[1]);
  if (!quota || !period) return {};
  return *quota / *period;
}

void take_least(std::optional<double>& least, std::optional<double> other) {
  if (other && (!least || *other < *least)) least = other;
}

}  // namespace

std::optional<double> cpu_quota(const fs::path& root) {
  std::optional<double> least;
  for (const Group& group : groups_of_process(root)) {
    const std::optional<Mount> mount = find_mount(root, group.version);
    if (!mount) continue;
    // In a container the mount may show the process's own group, or one above it, as its top.
    fs::path below = group.path.lexically_relative(mount->group);
    if (below.empty() || *below.begin() == "..") below = ".";
    const fs::path top = root / mount->folder.relative_path();
    fs::path folder = top;
    take_least(least, quota_in(folder, group.version));
    for (const fs::path& step : below) {
      folder /= step;
      take_least(least, quota_in(folder, group.version));
    }
  }
  return least;
}

int64_t online_cpus() {
  return std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
}

namespace {

/// CPUs that this process may be scheduled on.
int64_t cpus_by_affinity() {
  constexpr int kMost = 1 << 14;
  cpu_set_t* const set = CPU_ALLOC(kMost);
  if (set == nullptr) return online_cpus();
  const size_t size = CPU_ALLOC_SIZE(kMost);
  const int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
  CPU_FREE(set);
  return count > 0 ? count : online_cpus();
}

}  // namespace

int64_t default_threads() {
  // A list is for nested OpenMP loops, of which we have none.
  const char* const wanted = std::getenv("OMP_NUM_THREADS");
  if (wanted != nullptr) {
    const int64_t count = std::atoll(wanted);
    if (count > 0) return count;
  }
  const int64_t cpus = cpus_by_affinity();
  const std::optional<double> quota = cpu_quota();
  if (!quota) return cpus;
  return static_cast<int64_t>(std::clamp(std::ceil(*quota), 1.0, static_cast<double>(cpus)));
}

}  // namespace evo
