// The head of an HTTP/1 request, read strictly. Whoever stands between a client and this server may
// read a doubtful head in another way than we do, and so see other requests in the same bytes than
// we do ("request smuggling"). So what RFC 9112 leaves open, or only discourages, is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evo::serve {

struct RequestHead {
  std::string method, target;                               ///< "POST", "/v1/completions?x=1"
  std::vector<std::pair<std::string, std::string>> fields;  ///< names in lower case
  bool keep_alive = false;         ///< the client may ask something else on this connection
  bool expects_continue = false;   ///< it sends the body when it is told to
  std::optional<uint64_t> length;  ///< Content-Length; nothing: none is named
  bool chunked = false;            ///< the body comes in chunks; never with a length

  [[nodiscard]] bool has_body() const { return chunked || length.value_or(0) > 0; }
  /// The value of the first field of this name (in lower case); null if there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const;
};

/// `text` ends with the empty line. Throws RequestError: 400 for what is not valid or can be read
/// in two ways, 414, 417, 501 and 505 for what is valid and not served here.
[[nodiscard]] RequestHead parse_head(std::string_view text);

/// A token of RFC 9110: what methods and names of fields consist of.
[[nodiscard]] bool is_token(std::string_view text);
/// What values of fields consist of: no control character but the tab.
[[nodiscard]] bool is_field_value(std::string_view text);

}  // namespace evo::serve
