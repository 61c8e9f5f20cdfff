#include "serve/http/access.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/ascii.h"
#include "serve/api/request_error.h"
#include "serve/http/page.h"

namespace evo::serve {
namespace {

constexpr std::string_view kAny = "*";

/// "example.com" of "Example.com:8080", "::1" of "[::1]:8080"; empty if it is neither.
std::string host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    return end == std::string_view::npos ? "" : lower_case(authority.substr(1, end - 1));
  }
  return lower_case(authority.substr(0, authority.find(':')));
}

bool is_address(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool has(const std::vector<std::string>& list, std::string_view one) {
  return std::ranges::find(list, one) != list.end();
}

/// The page itself has no secret, and whether a server lives is none.
bool needs_no_key(const RequestHead& head) {
  const std::string path = head.target.substr(0, head.target.find('?'));
  return path == "/health" || is_of_page(path);
}

void check_origin_option(const std::string& origin) {
  const size_t scheme = origin.find("://");
  const bool fits =
      origin == kAny || (scheme != std::string::npos && scheme > 0 && origin.size() > scheme + 3 &&
                         origin.find('/', scheme + 3) == std::string::npos);
  if (fits) return;
  throw UsageError(fmt::format(
      "--cors '{}': expected what a browser calls the origin of a page, as in https://example.com "
      "or http://localhost:3000, without a path; * lets every page ask",
      origin));
}

}  // namespace

Access::Access(AccessOptions options, const std::string& host)
    : options_(std::move(options)),
      any_origin_(has(options_.origins, kAny)),
      any_host_(any_origin_ || has(options_.allowed_hosts, kAny)) {
  for (std::string& origin : options_.origins) {
    check_origin_option(origin);
    origin = lower_case(origin);
  }
  hosts_ = {"localhost", lower_case(host)};
  for (const std::string& allowed : options_.allowed_hosts) hosts_.push_back(lower_case(allowed));
}

void Access::check(const RequestHead& head) const {
  check_host(head);
  check_origin(head);
  check_key(head);
  const std::string* encoding = head.find("content-encoding");
  if (encoding != nullptr && lower_case(*encoding) != "identity") {
    throw RequestError(kUnsupportedEncoding, "send the body as it is, not compressed");
  }
}

/// A page under a name of its own knows no key, so with one names do not matter.
void Access::check_host(const RequestHead& head) const {
  const std::string* authority = head.find("host");
  if (any_host_ || !options_.api_key.empty() || authority == nullptr) return;
  const std::string host = host_of(*authority);
  if (has(hosts_, host) || host.ends_with(".localhost") || is_address(host)) return;
  throw RequestError(kForbidden,
                     fmt::format("this server is not known as \"{}\": use its address, or start it "
                                 "with --allowed-host {}",
                                 host, host),
                     "", "host_not_allowed");
}

void Access::check_origin(const RequestHead& head) const {
  const std::string* origin = head.find("origin");
  if (origin == nullptr || allows(*origin)) return;
  const std::string* host = head.find("host");
  const std::string name = lower_case(*origin);
  if (host != nullptr) {
    const std::string own = lower_case(*host);
    if (name == "http://" + own || name == "https://" + own) return;
  }
  throw RequestError(kForbidden,
                     fmt::format("pages of {} may not ask this server; to let them, start it with "
                                 "--cors {}",
                                 *origin, *origin),
                     "", "origin_not_allowed");
}

void Access::check_key(const RequestHead& head) const {
  if (options_.api_key.empty() || needs_no_key(head) || is_preflight(head)) return;
  constexpr std::string_view kScheme = "bearer";
  const std::string* given = head.find("authorization");
  if (given != nullptr && lower_case(given->substr(0, kScheme.size())) == kScheme) {
    const std::string_view rest = std::string_view(*given).substr(kScheme.size());
    const size_t key = rest.find_first_not_of(' ');
    if (key != 0 && key != std::string_view::npos &&
        equal_secret(rest.substr(key), options_.api_key)) {
      return;
    }
  }
  throw RequestError(kUnauthorized, "expected the server's key, as Authorization: Bearer KEY", "",
                     "invalid_api_key");
}

bool Access::allows(std::string_view origin) const {
  return any_origin_ || has(options_.origins, lower_case(origin));
}

std::string Access::readable_for(const RequestHead& head) const {
  const std::string* origin = head.find("origin");
  if (origin == nullptr || !allows(*origin)) return "";
  return any_origin_ ? std::string(kAny) : *origin;
}

bool Access::is_preflight(const RequestHead& head) {
  return head.method == "OPTIONS" && head.find("origin") != nullptr &&
         head.find("access-control-request-method") != nullptr;
}

bool equal_secret(std::string_view given, std::string_view secret) {
  size_t different = given.size() ^ secret.size();
  for (size_t i = 0; i < given.size(); ++i) {
    const char other = secret.empty() ? '\0' : secret[i % secret.size()];
    different |= static_cast<unsigned char>(given[i] ^ other);
  }
  return different == 0;
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace evo::serve
