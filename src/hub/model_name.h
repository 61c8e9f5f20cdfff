// What people call a model of a hub, and which parts of such a name may become a path or a URL.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace evo::hub {

/// OWNER/NAME[@REVISION][:FILE]; a hub's oldest models have no OWNER/.
struct ModelName {
  std::string repository;  ///< "OWNER/NAME"
  std::string revision;    ///< a branch, a tag or a commit; empty: not said
  std::string file;        ///< path in the repository, or a GGUF file's format ("Q4_K_M"); or empty

  [[nodiscard]] std::string text() const;             ///< as it was written
  [[nodiscard]] std::string wanted_revision() const;  ///< "main" if none was said
};

/// Nothing if `text` cannot be the name of a model.
[[nodiscard]] std::optional<ModelName> find_model_name(std::string_view text);
/// Throws Error that says what a name looks like.
[[nodiscard]] ModelName parse_model_name(std::string_view text);

/// Why a file of a repository may not be called `path`, or nothing: names come from strangers, and
/// one like "../x" or "/x" would leave the folder that files are put into.
[[nodiscard]] std::optional<std::string> fault_of_path(std::string_view path);

/// The weights of a model folder: one file, or what lists several.
inline constexpr std::string_view kWeightsFile = "model.safetensors";
inline constexpr std::string_view kWeightsIndex = "model.safetensors.index.json";

/// Forty lower-case hexadecimal digits.
[[nodiscard]] bool is_commit(std::string_view text);

}  // namespace evo::hub
