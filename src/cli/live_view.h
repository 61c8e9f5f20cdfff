// A terminal that shows how a text comes into being.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "decode/trace.h"

namespace evo {

/// Shows text as it becomes certain and, behind it, the tokens that are not, coloured by maturity
/// from red (will change) over yellow to green (will stay), as far as they fit on the line.
class LiveView {
 public:
  /// Replaces what is uncertain on standard output. `status`: shown on the line below, if any.
  void show(std::string_view text, std::span<const TraceToken> tokens,
            std::string_view status = {});
  /// The rest of the text; takes away what is uncertain.
  void end(std::string_view text);

  /// What show() writes to a terminal of this width in columns. Control characters of a text would
  /// be commands to the terminal: dots stand for them, line ends and tabs excepted.
  [[nodiscard]] std::string frame(std::string_view text, std::span<const TraceToken> tokens,
                                  std::string_view status, size_t width);

 private:
  [[nodiscard]] std::string advance(std::string_view text);

  size_t column_ = 0;  // of the cursor if lines were endless
};

}  // namespace evo
