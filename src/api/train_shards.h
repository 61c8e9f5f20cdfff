// --data with folders of shards: which, with what weights, and what a run remembers of them.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/shards.h"
#include "tokenizer/tokenizer.h"

namespace evo {

/// One value of --data, FOLDER or FOLDER=WEIGHT.
struct ShardFolder {
  std::filesystem::path path;
  std::optional<double> weight;
  data::ShardIndex index;
};

/// The values of --data if they are folders of shards, which have an index.json, else nothing:
/// files with text, or folders of them. Throws Error for both together, for a folder that is not
/// complete, if the folders are not all by one tokenizer, or if some have a weight and others none.
[[nodiscard]] std::vector<ShardFolder> shard_folders(const std::vector<std::string>& data);

/// Throws Error if `tokenizer` did not make the shards.
void check_tokenizer(std::span<const ShardFolder> folders, const tokenizer::Tokenizer& tokenizer);

struct RunShards {
  data::TokenFile tokens;
  json::Record
      record;  ///< data.json of the run: what it has to know of the shards when it is resumed
};

/// All shards as one array: of one source or, if the folders have weights, of one source each.
[[nodiscard]] RunShards open_shard_folders(std::span<const ShardFolder> folders,
                                           const data::ShardOptions& options);

/// For a run that is resumed, `before` being its data.json: throws Error if the shards or weights
/// are not the same, and warns if others of them are skipped.
void check_resumed(const json::Record& before, const json::Record& now);

}  // namespace evo
