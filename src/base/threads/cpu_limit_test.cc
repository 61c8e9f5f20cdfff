#include "base/threads/cpu_limit.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace evo {
namespace {

namespace fs = std::filesystem;

/// A folder with /proc and control groups as a machine would show them.
class CpuQuota : public ::testing::Test {
 protected:
  CpuQuota() {
    std::string name = (fs::temp_directory_path() / "evo-cpu-XXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  ~CpuQuota() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    const fs::path file = root_ / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  void process_in(const std::string& groups) const { write("proc/self/cgroup", groups); }
  void mounts(const std::string& lines) const {
    write("proc/self/mountinfo",
          "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
          "23 22 0:20 / /proc rw,nosuid - proc proc rw\n" +
              lines);
  }
  void version2() const {
    mounts("30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate");
  }
  void version1(const std::string& group = "/") const {
    mounts("31 22 0:27 " + group +
           " /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
           "32 22 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset");
  }
  [[nodiscard]] std::optional<double> quota() const { return cpu_quota(root_); }

  fs::path root_;
};

constexpr const char* kV1 = "sys/fs/cgroup/cpu,cpuacct";

TEST_F(CpuQuota, Version2) {
  version2();
  process_in("0::/user.slice/job");
  EXPECT_EQ(quota(), std::nullopt);
  write("sys/fs/cgroup/user.slice/job/cpu.max", "max 100000");
  EXPECT_EQ(quota(), std::nullopt);
  write("sys/fs/cgroup/user.slice/job/cpu.max", "150000 100000");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(CpuQuota, TheLeastOfAllGroupsAbove) {
  version2();
  process_in("0::/a/b/c");
  write("sys/fs/cgroup/a/b/c/cpu.max", "400000 100000");
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000");
  write("sys/fs/cgroup/a/cpu.max", "50000 25000");
  EXPECT_EQ(quota(), 2.0);
  write("sys/fs/cgroup/cpu.max", "50000 100000");  // a container's own group is its top
  EXPECT_EQ(quota(), 0.5);
}

TEST_F(CpuQuota, Version1) {
  version1();
  process_in("5:cpuset:/elsewhere\n4:cpu,cpuacct:/job\n1:name=systemd:/job");
  EXPECT_EQ(quota(), std::nullopt);
  write(kV1 + std::string("/job/cpu.cfs_quota_us"), "-1");
  write(kV1 + std::string("/job/cpu.cfs_period_us"), "100000");
  EXPECT_EQ(quota(), std::nullopt);
  write(kV1 + std::string("/job/cpu.cfs_quota_us"), "250000");
  EXPECT_EQ(quota(), 2.5);
  // Of another controller's group.
  write(kV1 + std::string("/elsewhere/cpu.cfs_quota_us"), "50000");
  write(kV1 + std::string("/elsewhere/cpu.cfs_period_us"), "100000");
  EXPECT_EQ(quota(), 2.5);
}

TEST_F(CpuQuota, AContainerSeesItsGroupAsTheTop) {
  version1("/docker/abc");
  process_in("4:cpu,cpuacct:/docker/abc");
  write(kV1 + std::string("/cpu.cfs_quota_us"), "100000");
  write(kV1 + std::string("/cpu.cfs_period_us"), "100000");
  EXPECT_EQ(quota(), 1.0);
  process_in("4:cpu,cpuacct:/docker/abc/inner");
  write(kV1 + std::string("/inner/cpu.cfs_quota_us"), "50000");
  write(kV1 + std::string("/inner/cpu.cfs_period_us"), "100000");
  EXPECT_EQ(quota(), 0.5);
  process_in("4:cpu,cpuacct:/somewhere/else");  // not below what is mounted
  EXPECT_EQ(quota(), 1.0);
}

TEST_F(CpuQuota, BothVersionsAtOnce) {
  mounts(
      "31 22 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
      "33 22 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw");
  process_in("1:cpu:/job\n0::/job");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "300000");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), 3.0);
}

TEST_F(CpuQuota, MountsWithSpaces) {
  mounts("30 22 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw");
  process_in("0::/");
  write("my groups/cpu.max", "200000 100000");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(CpuQuota, WhatIsNoNumberIsNoLimit) {
  EXPECT_EQ(quota(), std::nullopt);  // no /proc at all
  version2();
  process_in("0::/\nnonsense\n:");
  for (const char* text :
       {"", "100000", "x 100000", "100000 0", "-5 100000", "nan 100000", "inf 100000"}) {
    write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(quota(), std::nullopt) << text;
  }
}

class DefaultThreads : public ::testing::Test {
 protected:
  DefaultThreads() { unsetenv("OMP_NUM_THREADS"); }
  ~DefaultThreads() override {
    unsetenv("OMP_NUM_THREADS");
    sched_setaffinity(0, sizeof before_, &before_);
  }

  cpu_set_t before_ = [] {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    return set;
  }();
};

TEST_F(DefaultThreads, FollowAffinity) {
  EXPECT_GE(default_threads(), 1);
  EXPECT_LE(default_threads(), CPU_COUNT(&before_));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(default_threads(), 1);
}

TEST_F(DefaultThreads, FollowTheEnvironment) {
  const int64_t usual = default_threads();
  setenv("OMP_NUM_THREADS", "7", 1);
  EXPECT_EQ(default_threads(), 7);
  setenv("OMP_NUM_THREADS", "5,2", 1);
  EXPECT_EQ(default_threads(), 5);
  for (const char* text : {"", "0", "-3", "many"}) {
    setenv("OMP_NUM_THREADS", text, 1);
    EXPECT_EQ(default_threads(), usual) << text;
  }
}

}  // namespace
}  // namespace evo
