// A model of a hub, into the cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "hub/cache/cache.h"
#include "hub/download.h"
#include "hub/model_name.h"

namespace evo::hub {

struct PullRequest {
  ModelName name = {};
  std::string endpoint = {};  ///< "https://HOST[:PORT][/PATH]"
  std::string token = {};     ///< sent to that host alone, and only where nobody else can read it
  std::string certificates = {};  ///< see Caller
  std::string agent = {};         ///< who we say we are
  Patience patience = {};
};

struct PullResult {
  std::filesystem::path path;  ///< the model: a snapshot's folder, or a file in one
  std::string commit;
  size_t files = 0;
  int64_t bytes = 0;       ///< of these files
  int64_t downloaded = 0;  ///< of these bytes, now
};

/// Downloads what is missing of the model; then, when all of it is there, makes the snapshot and
/// lets the revision's name mean it, so that who reads the cache meanwhile sees the old state or
/// the new one. Throws Error or Interrupted; what has arrived is then kept for the next attempt.
PullResult pull(const Cache& cache, const PullRequest& request);

}  // namespace evo::hub
