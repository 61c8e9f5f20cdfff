#include "hub/remote/url.h"

#include <gtest/gtest.h>

#include "base/testing.h"

namespace evo::hub {
namespace {

using evo::testing::expect_error;

Url parsed(const std::string& text) {
  return Url::parse(text, "endpoint");
}

TEST(Url, ReadsWhatMatters) {
  const Url url = parsed("HTTPS://Host.example:8443/a/b?key=secret#place");
  EXPECT_EQ(url.host(), "host.example");
  EXPECT_TRUE(url.is_https());
  EXPECT_EQ(url.shown().find("secret"), std::string::npos) << url.shown();
  EXPECT_NE(url.text().find("key=secret"), std::string::npos);
  EXPECT_EQ(url.text().find("place"), std::string::npos);
}

TEST(Url, KnowsOneProgramFromAnother) {
  EXPECT_TRUE(parsed("https://a.example/x").same_origin(parsed("https://A.example:443/y")));
  for (const char* other : {"http://a.example", "https://b.example", "https://a.example:444",
                            "https://a.example.b", "https://sub.a.example"}) {
    EXPECT_FALSE(parsed("https://a.example").same_origin(parsed(other))) << other;
  }
}

TEST(Url, KnowsWhereOthersCanRead) {
  for (const char* text :
       {"https://a.example", "http://127.0.0.1:80", "http://localhost", "http://[::1]"})
    EXPECT_TRUE(parsed(text).is_private()) << text;
  for (const char* text : {"http://a.example", "http://localhost.example", "http://10.0.0.1"})
    EXPECT_FALSE(parsed(text).is_private()) << text;
}

TEST(Url, ARedirectMayBeRelative) {
  const Url page = parsed("https://a.example/x/y?z=1");
  EXPECT_EQ(page.resolve("/n/m", "redirect").text(), "https://a.example/n/m");
  EXPECT_EQ(page.resolve("https://b.example/", "redirect").host(), "b.example");
}

TEST(Url, RefusesWhatIsNone) {
  for (const char* text : {"", "a.example", "/x", "ftp://a.example", "file:///etc/passwd",
                           "https://", "https://user:word@a.example", "https://a b/"}) {
    expect_error([&] { (void)parsed(text); }, {"endpoint", "https://HOST"});
  }
}

TEST(Url, EncodesParts) {
  EXPECT_EQ(percent_encoded("a/b c%?#ä-._~", true), "a/b%20c%25%3F%23%C3%A4-._~");
  EXPECT_EQ(percent_encoded("refs/pr/1", false), "refs%2Fpr%2F1");
}

}  // namespace
}  // namespace evo::hub
