#include "weights/checkpoint.h"

#include <sys/resource.h>

#include <csignal>

#include "base/testing.h"

namespace evo::weights {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::flip_bit;
using testing::TemporaryFolder;
using Names = std::vector<std::string>;
using Steps = std::vector<int64_t>;

/// Saves arrays and a state that tell the step and `mark`.
void save(CheckpointFolder& checkpoints, int64_t step, float mark = 1) {
  const std::vector<float> values = {static_cast<float>(step), mark};
  json::Record state;
  state.set("position", 10 * step).set("loss", 0.1 * static_cast<double>(step));
  checkpoints.save(step, {{"w", {2}, values}}, state);
}

std::vector<float> values_of(const Checkpoint& checkpoint) {
  std::vector<float> values(2);
  checkpoint.arrays.read_f32("w", {2}, values);
  return values;
}

TEST(Checkpoint, RoundTripAndFileNames) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder / "run/ckpt", 3);
  EXPECT_EQ(checkpoints.latest(), std::nullopt);
  EXPECT_FALSE(checkpoints.load_latest_good().has_value());
  save(checkpoints, 1234);
  EXPECT_TRUE(fs::is_regular_file(folder / "run/ckpt/step-00001234/state.safetensors"));
  EXPECT_TRUE(fs::is_regular_file(folder / "run/ckpt/step-00001234/state.json"));
  EXPECT_EQ(checkpoints.latest(), 1234);
  const Checkpoint back = checkpoints.load(1234);
  EXPECT_EQ(back.step, 1234);
  EXPECT_EQ(back.state.get_int("position"), 12340);
  EXPECT_EQ(back.state.get_double("loss"), 0.1 * 1234);
  EXPECT_EQ(values_of(back), (std::vector<float>{1234, 1}));
}

TEST(Checkpoint, KeepsTheNewest) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 2);
  for (const int64_t step : {9, 10, 100, 123456789}) save(checkpoints, step);
  EXPECT_EQ(folder.names(), (Names{"step-00000100", "step-123456789"}));
  EXPECT_EQ(checkpoints.steps(), (Steps{100, 123456789}));
}

TEST(Checkpoint, SameStepIsReplacedAndLaterOnesGo) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 5);
  for (const int64_t step : {10, 20, 30}) save(checkpoints, step);
  save(checkpoints, 20, 2);
  EXPECT_EQ(checkpoints.steps(), (Steps{10, 20}));
  EXPECT_EQ(values_of(checkpoints.load(20)), (std::vector<float>{20, 2}));
  EXPECT_EQ(folder.names(), (Names{"step-00000010", "step-00000020"}));
}

/// What a process killed between writing and renaming leaves, and other things that are no
/// checkpoints.
TEST(Checkpoint, LeftoversDoNotCountAndTemporaryOnesGo) {
  const TemporaryFolder folder;
  CheckpointFolder(folder.path(), 2).save(5, {}, json::Record());
  fs::copy(folder / "step-00000005", folder / ".tmp-step-00000007");
  fs::create_directory(folder / ".tmp-step-00000008");
  fs::copy(folder / "step-00000005", folder / "step-00000009");
  fs::remove(folder / "step-00000009" / "state.json");
  fs::copy(folder / "step-00000005", folder / "step-000000x9");
  fs::copy(folder / "step-00000005", folder / "step-0000000011");
  testing::write_bytes(folder / "step-00000012", "a file");
  EXPECT_EQ(CheckpointFolder(folder.path(), 2).steps(), Steps{5});
  EXPECT_FALSE(fs::exists(folder / ".tmp-step-00000007"));
  EXPECT_FALSE(fs::exists(folder / ".tmp-step-00000008"));
  EXPECT_TRUE(fs::exists(folder / "step-000000x9"));  // not ours to remove
}

TEST(Checkpoint, EveryFlippedBitOfTheArraysIsNoticed) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 2);
  save(checkpoints, 3);
  const fs::path path = folder / "step-00000003" / "state.safetensors";
  const size_t size = fs::file_size(path);
  for (size_t byte = 0; byte < size; ++byte) {
    flip_bit(path, byte, static_cast<int>(byte % 8));
    expect_error([&] { (void)checkpoints.load(3); }, {"state.safetensors"});
    flip_bit(path, byte, static_cast<int>(byte % 8));
  }
  flip_bit(path, size - 1, 0);
  expect_error([&] { (void)checkpoints.load(3); }, {path.string(), "checksum", "damaged"});
}

TEST(Checkpoint, DamagedStateIsNoticed) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 2);
  save(checkpoints, 3);
  const fs::path path = folder / "step-00000003" / "state.json";
  const size_t digit = testing::read_bytes(path).find("\"position\": 30") + 12;
  flip_bit(path, digit, 0);  // 30 becomes 20: valid JSON with another meaning
  expect_error([&] { (void)checkpoints.load(3); }, {path.string(), "checksum", "damaged"});
}

TEST(Checkpoint, RenamedOrMissingFolder) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 2);
  save(checkpoints, 3);
  fs::rename(folder / "step-00000003", folder / "step-00000004");
  expect_error([&] { (void)checkpoints.load(4); }, {"step-00000004", "step 3", "expected 4"});
  expect_error([&] { (void)checkpoints.load(3); }, {"step-00000003", "No such file"});
}

TEST(Checkpoint, FallsBackToTheOneBefore) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 3);
  for (const int64_t step : {10, 20, 30}) save(checkpoints, step);
  const auto damage = [&](int64_t step) {
    const fs::path path = checkpoints.folder_of(step) / "state.safetensors";
    flip_bit(path, fs::file_size(path) - 1, 0);
  };
  damage(30);
  EXPECT_EQ(checkpoints.load_latest_good().value().step, 20);
  damage(20);
  damage(10);
  expect_error([&] { (void)checkpoints.load_latest_good(); }, {"step-00000030", "damaged"});
}

TEST(Checkpoint, FailedSaveLeavesTheOldOnes) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path(), 1);
  save(checkpoints, 1);
  const std::vector<float> large(1 << 16);
  rlimit kept{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &kept), 0);
  const rlimit small{1 << 12, kept.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_error(
      [&] {
        checkpoints.save(2, {{"w", {1 << 16}, large}}, json::Record());
      },
      {"state.safetensors", "File too large", "free"});
  setrlimit(RLIMIT_FSIZE, &kept);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(folder.names(), Names{"step-00000001"});
  EXPECT_EQ(checkpoints.load_latest_good().value().step, 1);
}

}  // namespace
}  // namespace evo::weights
