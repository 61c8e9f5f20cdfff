// Reading JSON text safely; for record.cc.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace evo::json {

/// What counts as JSON. Python's json module, which wrote and reads the files of Hugging Face
/// models, also knows NaN, Infinity and -Infinity, and of a key that is there twice the last value.
enum class JsonDialect { kStandard, kPython };

/// The value of `text`. Throws Error naming `source` and the place if the text is not JSON, has an
/// object with a key twice (by the standard) or is nested too deep.
[[nodiscard]] nlohmann::ordered_json parse_json(std::string_view text, std::string_view source,
                                                JsonDialect rules = JsonDialect::kStandard);

/// Foreign text cut to what fits a message.
[[nodiscard]] std::string shortened(std::string text);

}  // namespace evo::json
