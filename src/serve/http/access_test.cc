#include "serve/http/access.h"

#include <gtest/gtest.h>

#include "serve/api/request_error.h"

namespace evo::serve {
namespace {

/// 200 if the request is let in; fields are whole lines.
int status_of(const Access& access, const std::string& fields,
              const std::string& request = "POST /v1/completions") {
  try {
    access.check(parse_head(request + " HTTP/1.1\r\n" + fields + "\r\n"));
  } catch (const RequestError& error) {
    return error.status();
  }
  return 200;
}

int from_page(const Access& access, const std::string& host, const std::string& origin) {
  return status_of(access, "Host: " + host + "\r\nOrigin: " + origin + "\r\n");
}

TEST(Access, ThisServerIsKnownByAddressesAndItsNames) {
  const Access access({.allowed_hosts = {"Box.Lan"}}, "bound.name");
  for (const char* host : {"127.0.0.1", "127.0.0.1:8080", "[::1]:80", "192.168.1.7:1", "localhost",
                           "LocalHost:8080", "a.localhost", "bound.name:8080", "box.lan"}) {
    EXPECT_EQ(status_of(access, std::string("Host: ") + host + "\r\n"), 200) << host;
  }
  for (const char* host : {"evil.example", "evil.example:8080", "localhost.evil.example",
                           "127.0.0.1.evil", "1.2.3", "[::1", "", "notlocalhost"}) {
    EXPECT_EQ(status_of(access, std::string("Host: ") + host + "\r\n"), 403) << host;
  }
  const Access any({.allowed_hosts = {"*"}}, "0.0.0.0");
  EXPECT_EQ(status_of(any, "Host: evil.example\r\n"), 200);
  const Access locked({.api_key = "k"}, "0.0.0.0");
  EXPECT_EQ(status_of(locked, "Host: any.example\r\nAuthorization: Bearer k\r\n"), 200);
}

TEST(Access, PagesOfOthersMayNotAsk) {
  const Access access({}, "127.0.0.1");
  EXPECT_EQ(status_of(access, "Host: localhost\r\n"), 200);
  EXPECT_EQ(from_page(access, "localhost:8080", "http://localhost:8080"), 200);
  EXPECT_EQ(from_page(access, "localhost:8080", "https://localhost:8080"), 200);
  EXPECT_EQ(from_page(access, "localhost:8080", "http://localhost:3000"), 403);
  EXPECT_EQ(from_page(access, "127.0.0.1:8080", "http://evil.example"), 403);
  EXPECT_EQ(from_page(access, "127.0.0.1:8080", "null"), 403);
  EXPECT_EQ(from_page(access, "evil.example", "http://evil.example"), 403);
}

TEST(Access, PagesMayAskIfTheUserSaysSo) {
  const Access some({.origins = {"https://App.example", "http://localhost:3000"}}, "127.0.0.1");
  EXPECT_EQ(from_page(some, "127.0.0.1:8080", "https://app.example"), 200);
  EXPECT_EQ(from_page(some, "127.0.0.1:8080", "http://localhost:3000"), 200);
  EXPECT_EQ(from_page(some, "127.0.0.1:8080", "http://app.example"), 403);
  EXPECT_EQ(from_page(some, "127.0.0.1:8080", "https://app.example.evil"), 403);
  const Access all({.origins = {"*"}}, "127.0.0.1");
  EXPECT_EQ(from_page(all, "evil.example", "null"), 200);
  const auto reader = [](const Access& access, const std::string& origin) {
    return access.readable_for(parse_head("GET / HTTP/1.1\r\nHost: h\r\n" + origin + "\r\n"));
  };
  EXPECT_EQ(reader(some, "Origin: https://app.example\r\n"), "https://app.example");
  EXPECT_EQ(reader(some, "Origin: https://evil.example\r\n"), "");
  EXPECT_EQ(reader(some, ""), "");
  EXPECT_EQ(reader(all, "Origin: null\r\n"), "*");
  for (const char* wrong : {"", "app.example", "https://", "https://app.example/", "https://a/b"}) {
    EXPECT_THROW(Access({.origins = {wrong}}, "127.0.0.1"), UsageError) << wrong;
  }
}

TEST(Access, TheKeyIsAskedForInAnyCase) {
  const Access access({.api_key = "secret"}, "127.0.0.1");
  const auto with = [&](const std::string& value) {
    return status_of(access, "Host: h\r\nAuthorization: " + value + "\r\n");
  };
  EXPECT_EQ(with("Bearer secret"), 200);
  EXPECT_EQ(with("bearer secret"), 200);
  EXPECT_EQ(with("BEARER   secret"), 200);
  for (const char* wrong : {"Bearer secrets", "Bearer secre", "Bearer Secret", "Bearer",
                            "Bearersecret", "Basic secret", "secret", ""}) {
    EXPECT_EQ(with(wrong), 401) << wrong;
  }
  EXPECT_EQ(status_of(access, "Host: h\r\n"), 401);
  EXPECT_EQ(status_of(access, "Host: h\r\n", "GET /health?x=1"), 200);
  EXPECT_EQ(status_of(access, "Host: h\r\n", "GET /healthy"), 401);
  EXPECT_EQ(status_of(access, "Host: h\r\n", "OPTIONS /v1/completions"), 401);
}

TEST(Access, BodiesAreNotInflated) {
  const Access access({}, "127.0.0.1");
  for (const char* encoding : {"gzip", "br", "deflate", "identity, br", "x"}) {
    EXPECT_EQ(
        status_of(access, std::string("Host: localhost\r\nContent-Encoding: ") + encoding + "\r\n"),
        415)
        << encoding;
  }
  EXPECT_EQ(status_of(access, "Host: localhost\r\nContent-Encoding: Identity\r\n"), 200);
}

TEST(Access, LoopbackIsThisMachineOnly) {
  EXPECT_TRUE(is_loopback("127.0.0.1") && is_loopback("localhost") && is_loopback("::1"));
  EXPECT_FALSE(is_loopback("0.0.0.0") || is_loopback("::") || is_loopback("192.168.0.1"));
}

}  // namespace
}  // namespace evo::serve
