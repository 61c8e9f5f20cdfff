// Checkpoints of a training run: one folder per step, whole or absent.
//
//   DIR/step-00001234/state.safetensors   parameters and optimizer moments
//   DIR/step-00001234/state.json          everything else, and a checksum of state.safetensors
//
// Several processes may write one together (weights/checkpoint_writer.h); the files are the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "json/record.h"
#include "weights/safetensors.h"

namespace evo::weights {

struct Checkpoint {
  int64_t step = 0;
  json::Record state;  ///< as given to save()
  SafetensorsFile arrays;
};

/// The owner should hold a FolderLock: the constructor removes what an interrupted save left.
class CheckpointFolder {
 public:
  /// Makes `dir` if missing. `keep_last` >= 1 is how many checkpoints save() leaves.
  CheckpointFolder(std::filesystem::path dir, int keep_last);

  /// Writes under a temporary name, syncs and renames; then removes all but the newest
  /// `keep_last`. A checkpoint of the same step is replaced, as are later ones (the run went back).
  void save(int64_t step, const std::vector<ArrayToWrite>& arrays, const json::Record& state) const;

  /// Steps of the complete checkpoints, ascending.
  [[nodiscard]] std::vector<int64_t> steps() const;
  [[nodiscard]] std::optional<int64_t> latest() const;

  /// Throws Error naming the file if it is missing, damaged or not of this step.
  [[nodiscard]] Checkpoint load(int64_t step) const;
  /// The same without looking at the checksums, which another process has done.
  [[nodiscard]] Checkpoint load_unchecked(int64_t step) const;
  /// The newest checkpoint that loads; each damaged one on the way gives a warning. Nothing if
  /// there is no checkpoint; throws the newest one's Error if all are damaged.
  [[nodiscard]] std::optional<Checkpoint> load_latest_good() const;

  [[nodiscard]] std::filesystem::path folder_of(int64_t step) const;

 private:
  friend class CheckpointWriter;
  static constexpr const char* kArraysName = "state.safetensors";
  static constexpr const char* kStateName = "state.json";

  [[nodiscard]] std::filesystem::path temporary_folder_of(int64_t step) const;
  /// The arrays that are in the temporary folder, with a state beside them.
  void publish(int64_t step, const json::Record& state, uint64_t checksum) const;
  void prune(int64_t newest) const;
  [[nodiscard]] json::Record state_file(int64_t step) const;

  std::filesystem::path dir_;
  int keep_last_;
};

}  // namespace evo::weights
