// Who may ask: the server's key, and what a browser says about the page that asks.
//
// A server without a key on one's own machine can be reached by every page that its user looks at.
// A browser names the page's origin with whatever such a page sends, so requests from other pages
// are told from those of programs, which name none. A page can also make its own name lead to this
// machine ("DNS rebinding"): then the origin is right, but the request asks for a host that is not
// this server.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serve/http/request_head.h"

namespace evo::serve {

struct AccessOptions {
  std::string api_key = {};               ///< empty: none is asked for
  std::vector<std::string> origins = {};  ///< pages that may ask: "https://example.com", "*": all
  std::vector<std::string> allowed_hosts = {};  ///< names of this server; "*": any
};

class Access {
 public:
  /// `host`: what the server listens on. Throws Error for what is no origin.
  Access(AccessOptions options, const std::string& host);

  /// Throws RequestError: 401, 403; 415 for a body that would have to be inflated.
  void check(const RequestHead& head) const;

  /// What an answer tells a browser about who may read it: the origin, "*", or nothing.
  [[nodiscard]] std::string readable_for(const RequestHead& head) const;
  /// The browser asks whether it may ask.
  [[nodiscard]] static bool is_preflight(const RequestHead& head);

 private:
  void check_host(const RequestHead& head) const;
  void check_origin(const RequestHead& head) const;
  void check_key(const RequestHead& head) const;
  [[nodiscard]] bool allows(std::string_view origin) const;

  AccessOptions options_;
  std::vector<std::string> hosts_;  // in lower case
  bool any_origin_, any_host_;
};

/// In a time that depends on the length of `given` only.
[[nodiscard]] bool equal_secret(std::string_view given, std::string_view secret);

/// Whether an address to listen on can be reached from this machine only.
[[nodiscard]] bool is_loopback(std::string_view host);

}  // namespace evo::serve
