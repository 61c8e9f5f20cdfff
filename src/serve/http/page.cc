#include "serve/http/page.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

#include "base/embedded_file.h"
#include "base/error.h"
#include "serve/api/handler.h"

namespace evo::serve {

std::span<const EmbeddedFile> page_files();

namespace {

constexpr std::string_view kIndex = "index.html";

/// Nothing but the page's own files, and none of them in a frame of another's page: whoever gets
/// foreign text into the page gets no code into it.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const char* content_type(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, const char*>, 4> kTypes = {
      {{".html", "text/html; charset=utf-8"},
       {".css", "text/css; charset=utf-8"},
       {".mjs", "text/javascript; charset=utf-8"},
       {".svg", "image/svg+xml"}}};
  for (const auto& [ending, type] : kTypes) {
    if (name.ends_with(ending)) return type;
  }
  fail("web/{}: no type is known for a file of such a name", name);
}

void send_file(std::string_view name, httplib::Response& response) {
  const auto* files = page_files().data();
  const auto* end = files + page_files().size();
  const auto* file = std::find_if(files, end, [&](const auto& one) { return one.name == name; });
  if (file == end) throw RequestError(kNotFound, "the page has no such file");
  response.set_header("Content-Security-Policy", kPolicy);
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_header("Referrer-Policy", "no-referrer");
  // Asked for anew each time: the program may have been replaced, and the files are small.
  response.set_header("Cache-Control", "no-cache");
  response.set_content(file->bytes.data(), file->bytes.size(), content_type(name));
}

}  // namespace

bool is_of_page(std::string_view path) {
  return path == kPageRoot || path.starts_with(kPageFolder);
}

void add_page_routes(httplib::Server& server) {
  using httplib::Request;
  using httplib::Response;
  server.Get(kPageRoot,
             guarded([](const Request&, Response& response) { send_file(kIndex, response); }));
  server.Get(std::string(kPageFolder) + "([a-z_.]+)",
             guarded([](const Request& request, Response& response) {
               send_file(request.matches[1].str(), response);
             }));
}

}  // namespace evo::serve
