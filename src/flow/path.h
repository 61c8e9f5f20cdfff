// Which path through the shared vector field: in what order the tokens of a text mature.
#pragma once

#include <string>
#include <string_view>

namespace evo::flow {

struct Path {
  enum class Kind {
    kAutoregressive,  ///< one token after the other
    kDiagonal,        ///< all tokens together
    kBlock,           ///< blocks one after the other, the tokens of a block together
  };
  Kind kind = Kind::kAutoregressive;
  int block = 1;  ///< tokens per block; used by kBlock only

  bool operator==(const Path&) const = default;
};

/// "ar", "diagonal" or "block:N" with N >= 1; throws Error otherwise.
[[nodiscard]] Path parse_path(std::string_view text);

/// What parse_path() reads.
[[nodiscard]] std::string to_string(const Path& path);

/// How many tokens of a text of `length` mature together: 1, `length` or `block`.
[[nodiscard]] int tokens_together(const Path& path, int length);

}  // namespace evo::flow
