// What is in the cache, and taking it away.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "hub/cache/cache.h"

namespace evo::hub {

struct CachedModel {
  std::string repository;
  std::string format;      ///< "safetensors", "GGUF Q4_K_M, Q8_0"; empty: no weights that we read
  int64_t bytes = 0;       ///< of its contents on the disk, each once
  int64_t unfinished = 0;  ///< bytes of these that are of downloads not at their end
  std::vector<std::string> revisions;  ///< the names it has, and commits without one
  std::chrono::system_clock::time_point
      used;  ///< last read, or written, as the file system knows it
};

/// Sorted by name.
[[nodiscard]] std::vector<CachedModel> cached_models(const Cache& cache);

/// Removes the model; one revision, if `revision` is not empty; of these one file, if `name.file`
/// is not. Contents that no snapshot has any more go as well. Returns the bytes that became free.
/// Throws Error if there is none, or if one of its files is being downloaded.
int64_t remove_model(const Cache& cache, const ModelName& name);

}  // namespace evo::hub
