// Files that lie inside the program; cmake/embed.cmake puts them there.
#pragma once

#include <span>
#include <string_view>

namespace evo {

struct EmbeddedFile {
  std::string_view name;  ///< without its folder
  std::string_view bytes;
};

}  // namespace evo
