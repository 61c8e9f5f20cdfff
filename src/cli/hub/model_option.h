// A model as users name it: a folder, a file, or what a hub calls it.
#pragma once

#include <string>

namespace CLI {
class Option;
}  // namespace CLI

namespace evo::cli {

inline constexpr const char* kModelHelp = "model folder, or OWNER/NAME as evo pull got it";

/// Lets the value of `option` be a model's name as well. What exists as a path is that; else a name
/// such as OWNER/NAME is replaced by its path in the hub's cache, and one that is not there throws
/// Error, which says how to get it. Returns `option`.
CLI::Option* takes_model(CLI::Option* option);

/// What to call the model at `path`: OWNER/NAME of one in a hub's cache, else the last part of the
/// path, of a file without its ending.
[[nodiscard]] std::string model_title(const std::string& path);

}  // namespace evo::cli
