// A model as users name it: a folder, a file, or what a hub calls it.
#pragma once

#include <string>

namespace evo::cli {

inline constexpr const char* kModelHelp = "model folder, or OWNER/NAME as evo pull got it";

/// The value of an option that takes a model.
struct ModelOption {
  std::string text = {};  ///< as it was given

  [[nodiscard]] bool empty() const { return text.empty(); }
  /// The text, if that exists as a path or cannot be the name of a model; else where the hub's
  /// cache has the model of that name. Throws Error, which says how to get it, if it has none.
  [[nodiscard]] std::string path() const;
  /// What to call it: OWNER/NAME of a model in a hub's cache, else the last part of the path, of a
  /// file without its ending.
  [[nodiscard]] std::string title() const;
};

}  // namespace evo::cli
