// A corpus as a folder of shards: token files of about one size, and index.json, which says what
// each must be. `evo tokenizer shard` makes them, `evo train --data FOLDER` reads them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/tokens.h"
#include "json/record.h"

namespace evo::data {

/// What the index says of one shard.
struct ShardInfo {
  std::string file;  ///< a name in the folder
  int64_t tokens = 0, held_out_tokens = 0, documents = 0;
  uint64_t checksum = 0;  ///< TokenShard::checksum()
};

struct ShardIndex {
  uint64_t tokenizer_fingerprint = 0;
  uint64_t source_fingerprint = 0;  ///< of texts, options and tokenizer
  int64_t vocab_size = 0;
  bool complete = false;  ///< false: only the first shards are there yet
  std::vector<ShardInfo> shards;

  [[nodiscard]] int64_t tokens() const;
  [[nodiscard]] int64_t documents() const;
  /// Changes with any byte of any shard.
  [[nodiscard]] uint64_t fingerprint() const;

  static std::filesystem::path path_in(const std::filesystem::path& folder);
  void save(const std::filesystem::path& folder) const;
  /// Throws Error for what is no index, and for names that lead out of the folder or come twice.
  static ShardIndex load(const std::filesystem::path& folder);
};

/// The source_fingerprint of shard `number` of a corpus, which so cannot pass for another.
[[nodiscard]] uint64_t shard_fingerprint(uint64_t corpus_fingerprint, size_t number);

/// Shard `number`, all of it read and checked. Throws Error naming the shard, what the index says
/// and what was found.
[[nodiscard]] TokenShard open_shard(const std::filesystem::path& folder, const ShardIndex& index,
                                    size_t number);

struct ShardOptions {
  bool skip_bad = false;  ///< a warning instead of an Error for a bad one, unless all are
  bool quiet = false;     ///< no progress
};

struct OpenedShards {
  std::vector<TokenShard> good;
  std::vector<std::string> skipped;  ///< names of bad ones
};

/// All shards. The order of sequences leaps about in all of them, so that checking a shard when it
/// is first used would be checking it now: all are checked, by all threads. Throws Error for a bad
/// one, see `options`.
[[nodiscard]] OpenedShards open_shards(const std::filesystem::path& folder, const ShardIndex& index,
                                       const ShardOptions& options);

}  // namespace evo::data
