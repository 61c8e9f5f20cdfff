// A model as users name it: a folder, a file, or what a hub calls it.
#pragma once

#include <string>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace evo::cli {

inline constexpr const char* kModelHelp =
    "model folder, GGUF file, or OWNER/NAME as evo pull got it";

/// Lets the value of `option` be a model's name as well: one that no path has and the hub's cache
/// knows is replaced by its path there. Returns `option`.
CLI::Option* takes_model(CLI::Option* option);

/// What to say when a command failed whose model, given by name, is neither a path nor in the
/// cache: how to get it. Empty if there is no such model among its options.
[[nodiscard]] std::string missing_model(const CLI::App& command);

/// What to call the model at `path`: OWNER/NAME of one in a hub's cache, else the last part of the
/// path, of a file without its ending.
[[nodiscard]] std::string model_title(const std::string& path);

}  // namespace evo::cli
