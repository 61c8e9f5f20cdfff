// Reading JSON text safely; for record.cc.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace evo::json {

/// The value of `text`. Throws Error naming `source` and the place if the text is not JSON, has an
/// object with a key twice or is nested too deep.
[[nodiscard]] nlohmann::ordered_json parse_json(std::string_view text, std::string_view source);

/// Foreign text cut to what fits a message.
[[nodiscard]] std::string shortened(std::string text);

}  // namespace evo::json
