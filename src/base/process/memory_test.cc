#include "base/process/memory.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace evo {
namespace {

namespace fs = std::filesystem;

/// A machine as /proc and /sys show it.
class MemoryTest : public ::testing::Test {
 protected:
  MemoryTest() { fs::remove_all(root_); }
  ~MemoryTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void write_machine(size_t available_kilobytes) const {
    write("proc/meminfo", fmt::format("MemTotal:       9000000 kB\nMemFree:  100 kB\n"
                                      "MemAvailable:   {} kB\n",
                                      available_kilobytes));
  }
  [[nodiscard]] size_t available() const { return available_memory(root_); }

  const fs::path root_ = fs::path(::testing::TempDir()) / fmt::format("evo-memory-{}", ::getpid());
};

TEST_F(MemoryTest, OfTheMachine) {
  write_machine(3000);
  EXPECT_EQ(available(), 3000u * 1024);
  EXPECT_GT(available_memory(), 0u);
}

TEST_F(MemoryTest, OfControlGroupsOfVersionTwo) {
  write_machine(3000);
  write("proc/self/cgroup", "0::/user/job\n");
  write("sys/fs/cgroup/user/job/memory.max", "max\n");
  write("sys/fs/cgroup/user/job/memory.current", "5000\n");
  EXPECT_EQ(available(), 3000u * 1024);
  // The group above has a limit; files in its cache can be had.
  write("sys/fs/cgroup/user/memory.max", "100000\n");
  write("sys/fs/cgroup/user/memory.current", "60000\n");
  write("sys/fs/cgroup/user/memory.stat", "anon 50000\ninactive_file 10000\n");
  EXPECT_EQ(available(), 50000u);
  write("sys/fs/cgroup/user/job/memory.max", "20000\n");
  EXPECT_EQ(available(), 15000u);
  write("sys/fs/cgroup/user/job/memory.max", "4000\n");
  EXPECT_EQ(available(), 0u);
}

TEST_F(MemoryTest, OfAContainerThatSeesTheTopOnly) {
  write_machine(3000);
  write("proc/self/cgroup", "0::/docker/not-mounted-here\n");
  write("sys/fs/cgroup/memory.max", "40000\n");
  write("sys/fs/cgroup/memory.current", "10000\n");
  EXPECT_EQ(available(), 30000u);
}

TEST_F(MemoryTest, OfControlGroupsOfVersionOne) {
  write_machine(3000);
  write("proc/self/cgroup", "4:cpu,cpuacct:/a\n3:memory:/job\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "100000\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "90000\n");
  write("sys/fs/cgroup/memory/job/memory.stat", "total_inactive_file 30000\n");
  EXPECT_EQ(available(), 40000u);
}

void exit_by_limit(const fs::path& root) {
  const rlimit limit{size_t{1} << 60, size_t{1} << 60};
  setrlimit(RLIMIT_AS, &limit);
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  _exit(available_memory(root) == (size_t{1} << 60) - 7 * page ? 7 : 1);
}

TEST_F(MemoryTest, OfTheAddressSpace) {
  write_machine(size_t{1} << 52);
  write("proc/self/statm", "7 5 3\n");
  EXPECT_EXIT(exit_by_limit(root_), ::testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace evo
