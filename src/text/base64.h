// Bytes as text, as RFC 4648 has it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace evo::text {

/// The bytes of `text`; nothing if it is empty or not padded base64.
std::optional<std::string> decode_base64(std::string_view text);

std::string encode_base64(std::string_view bytes);

}  // namespace evo::text
