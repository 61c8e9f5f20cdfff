// Making a folder of shards (data/shards.h) of a corpus.
#pragma once

#include <cstdint>
#include <filesystem>

#include "data/shards.h"
#include "tokenizer/tokenizer.h"
#include "train/examples/data_encoder.h"

namespace evo::train {

struct ShardingSummary {
  data::ShardIndex index;
  size_t kept = 0;  ///< shards that were there already
};

/// Fills `folder` with shards of the first whole documents that are `shard_tokens` or more, and a
/// copy of the tokenizer. A shard is there completely or not at all, and the index says after each
/// which ones are; so the same call goes on after an interrupt (an Error, which says so), a full
/// disk or the end of the process, and makes anew what was damaged. Throws Error if the folder has
/// shards of other texts, of other options or by another tokenizer, or if somebody is using it.
[[nodiscard]] ShardingSummary make_shards(const CorpusOptions& options,
                                          const tokenizer::Tokenizer& tokenizer,
                                          const std::filesystem::path& folder,
                                          int64_t shard_tokens);

}  // namespace evo::train
