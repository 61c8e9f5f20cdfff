// Which files of a repository make the model in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hub/model_name.h"
#include "hub/remote/answers.h"

namespace evo::hub {

/// What to download.
struct Choice {
  std::vector<RemoteFile> files;  ///< without the shards of `index`
  std::string index;              ///< one of `files`, which lists files of weights; or empty
  std::string model;              ///< the file that is the model; empty: their folder is
};

/// The files that `name` asks for. If it names none: configuration, tokenizer, chat templates and
/// weights in safetensors, as transformers chooses among them, or the only GGUF file. Throws Error
/// that says what the repository has instead.
[[nodiscard]] Choice choose_files(const std::vector<RemoteFile>& files, const ModelName& name);

/// Those of `files` that the text of an index names; throws Error, with `source`, for one that is
/// not there.
[[nodiscard]] std::vector<RemoteFile> shards_of(std::string_view index_json,
                                                std::string_view source,
                                                const std::vector<RemoteFile>& files);

}  // namespace evo::hub
