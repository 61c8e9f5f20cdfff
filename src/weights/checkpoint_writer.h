// Writing one checkpoint, by one process or by several together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "weights/checkpoint.h"

namespace evo::weights {

/// Every process makes one with the same arguments. One of them calls create(); when it has, each
/// calls write() for its parts of the arrays, which together are everything, and sync(); when all
/// have, each computes its share of the checksum; with the sum of these the first one commits.
/// Until then there is no checkpoint of this step, and if it comes to nothing, none of its files.
class CheckpointWriter {
 public:
  /// `arrays` are F32; their values are not looked at. `folder` must outlive the writer.
  CheckpointWriter(const CheckpointFolder& folder, int64_t step,
                   const std::vector<ArrayToWrite>& arrays);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Makes the temporary folder, and the file at its full size.
  void create();
  /// Elements [first, first + values.size()) of arrays[array]. Throws Error naming the file and the
  /// free space if not all can be written.
  void write(size_t array, int64_t first, std::span<const float> values);
  void sync();
  [[nodiscard]] uint64_t checksum(int share, int shares) const;
  /// Syncs and renames; then removes what CheckpointFolder::save() says.
  void commit(const json::Record& state, uint64_t checksum);

 private:
  void open(int flags);
  [[nodiscard]] std::filesystem::path arrays_path() const;

  const CheckpointFolder& folder_;
  int64_t step_;
  SafetensorsLayout layout_;
  int descriptor_ = -1;
  bool created_ = false;  // by us, who have to clear it away
};

/// A share of the checksum of `bytes`: that of every `shares`th piece, from piece `share` on. The
/// sum over all shares is the whole checksum, however many they are.
/// `done`, if given, is called with every piece when it has been read, by any thread.
[[nodiscard]] uint64_t checksum_of_pieces(
    std::span<const std::byte> bytes, int share, int shares,
    const std::function<void(std::span<const std::byte> piece)>& done = {});

}  // namespace evo::weights
