#include "weights/checkpoint_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "base/testing.h"

namespace evo::weights {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;

/// Two arrays of more than a piece of the checksum each, of odd lengths.
class CheckpointWriterTest : public ::testing::Test {
 protected:
  CheckpointWriterTest() : first_(300'001), second_(400'003) {
    std::iota(first_.begin(), first_.end(), 1.0f);
    std::iota(second_.begin(), second_.end(), -7.0f);
    state_.set("position", 12);
  }

  [[nodiscard]] std::vector<ArrayToWrite> arrays(bool values) const {
    std::vector<ArrayToWrite> list;
    list.push_back({"first", {std::ssize(first_)}, {}});
    list.push_back({"second", {std::ssize(second_)}, {}});
    if (values) {
      list[0].values = first_;
      list[1].values = second_;
    }
    return list;
  }

  /// `count` writers, each with its parts, as different processes would.
  void save(const CheckpointFolder& folder, int64_t step, int count) const {
    std::vector<std::unique_ptr<CheckpointWriter>> writers;
    for (int i = 0; i < count; ++i) {
      writers.push_back(std::make_unique<CheckpointWriter>(folder, step, arrays(false)));
    }
    writers[0]->create();
    const std::vector<float>* const values[] = {&first_, &second_};
    for (int i = 0; i < count; ++i) {
      for (size_t array = 0; array < 2; ++array) {
        const int64_t size = std::ssize(*values[array]);
        const int64_t begin = size * i / count, end = size * (i + 1) / count;
        writers[i]->write(array, begin, std::span(*values[array]).subspan(begin, end - begin));
      }
      writers[i]->sync();
    }
    uint64_t checksum = 0;
    for (int i = 0; i < count; ++i) {
      checksum += writers[i]->checksum(i, count);
    }
    writers[0]->commit(state_, checksum);
  }

  const TemporaryFolder folder_;
  std::vector<float> first_, second_;
  json::Record state_;
};

TEST_F(CheckpointWriterTest, AnyNumberOfWritersMakesTheSameFiles) {
  const CheckpointFolder folder(folder_.path(), 10);
  folder.save(1, arrays(true), state_);
  for (const int count : {1, 2, 3, 7}) {
    SCOPED_TRACE(count);
    save(folder, 2, count);
    EXPECT_NO_THROW((void)folder.load(2));
    EXPECT_TRUE(read_bytes(folder.folder_of(2) / "state.safetensors") ==
                read_bytes(folder.folder_of(1) / "state.safetensors"));
    const json::Record one = json::Record::load(folder.folder_of(1) / "state.json");
    const json::Record two = json::Record::load(folder.folder_of(2) / "state.json");
    EXPECT_EQ(one.get_string("arrays_pieces_checksum"), two.get_string("arrays_pieces_checksum"));
  }
}

TEST_F(CheckpointWriterTest, IsAbsentUntilItIsCommitted) {
  const CheckpointFolder folder(folder_.path(), 10);
  {
    CheckpointWriter writer(folder, 3, arrays(false));
    writer.create();
    writer.write(0, 0, first_);
    writer.sync();
    EXPECT_TRUE(folder.steps().empty());
  }
  EXPECT_TRUE(folder_.names().empty());
}

/// A process whose disk is full: an Error that names the file, and nothing is left.
TEST_F(CheckpointWriterTest, AFullDiskLeavesNothing) {
  const CheckpointFolder folder(folder_.path(), 10);
  save(folder, 1, 2);
  {
    CheckpointWriter creator(folder, 2, arrays(false)), other(folder, 2, arrays(false));
    creator.create();
    creator.write(0, 0, first_);
    const testing::FileSizeLimit limit(1'000'000);
    expect_error([&] { other.write(1, 0, second_); },
                 {"state.safetensors", "File too large", "free on that disk", "make room"});
  }
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"step-00000001"});
  EXPECT_NO_THROW((void)folder.load(1));
}

TEST_F(CheckpointWriterTest, DamageAndPiecesInAnotherOrderChangeTheChecksum) {
  std::vector<std::byte> bytes(size_t{3} << 20);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 1000 * 7);
  const uint64_t whole = checksum_of_pieces(bytes, 0, 1);
  EXPECT_EQ(checksum_of_pieces(bytes, 0, 2) + checksum_of_pieces(bytes, 1, 2), whole);
  EXPECT_EQ(checksum_of_pieces(bytes, 4, 5), 0u);  // more shares than pieces
  std::vector<std::byte> swapped = bytes;
  std::swap_ranges(swapped.begin(), swapped.begin() + (1 << 20), swapped.begin() + (1 << 20));
  EXPECT_NE(checksum_of_pieces(swapped, 0, 1), whole);
  bytes[2'500'000] ^= std::byte{1};
  EXPECT_NE(checksum_of_pieces(bytes, 0, 1), whole);
}

/// What a program before this checksum wrote.
TEST_F(CheckpointWriterTest, TheChecksumOfEarlierVersionsIsReadToo) {
  const CheckpointFolder folder(folder_.path(), 10);
  folder.save(1, arrays(true), state_);
  const fs::path path = folder.folder_of(1) / "state.json";
  json::Record file = json::Record::load(path);
  file.erase("arrays_pieces_checksum");
  const std::string bytes = read_bytes(folder.folder_of(1) / "state.safetensors");
  const uint64_t checksum = files::checksum64(std::as_bytes(std::span(bytes)));
  file.set("arrays_checksum", fmt::format("{:016x}", checksum));
  file.save(path);
  EXPECT_NO_THROW((void)folder.load(1));
  testing::flip_bit(folder.folder_of(1) / "state.safetensors", 5000, 2);
  expect_error([&] { (void)folder.load(1); }, {"state.safetensors", "damaged"});
  EXPECT_NO_THROW((void)folder.load_unchecked(1));
}

TEST_F(CheckpointWriterTest, PartsAreReadAlone) {
  const CheckpointFolder folder(folder_.path(), 10);
  folder.save(1, arrays(true), state_);
  const Checkpoint checkpoint = folder.load(1);
  std::vector<float> part(1000);
  checkpoint.arrays.read_f32_part("second", {std::ssize(second_)}, 250'000, part);
  EXPECT_EQ(part, std::vector<float>(second_.begin() + 250'000, second_.begin() + 251'000));
  expect_error([&] { checkpoint.arrays.read_f32_part("second", {3}, 0, part); }, {"second", "[3]"});
}

}  // namespace
}  // namespace evo::weights
