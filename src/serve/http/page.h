// The page for people: the files of web/, which lie inside the program.
#pragma once

#include <httplib.h>

#include <string_view>

namespace evo::serve {

/// Where the files are; the first one is the page itself.
inline constexpr const char *kPageRoot = "/", *kPageFolder = "/web/";

/// True for what is served to everybody, also where a key is asked for: the page holds no secret,
/// and asks for the key itself.
[[nodiscard]] bool is_of_page(std::string_view path);

void add_page_routes(httplib::Server& server);

}  // namespace evo::serve
