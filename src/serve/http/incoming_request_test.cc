#include "serve/http/incoming_request.h"

#include <gtest/gtest.h>

namespace evo::serve {
namespace {

constexpr size_t kMost = 100;

IncomingRequest::Gate open_gate() {
  return [](const RequestHead&) {};
}

IncomingRequest read(std::string_view bytes, size_t* taken = nullptr) {
  IncomingRequest request(kMost);
  const size_t count = request.take(bytes, open_gate());
  if (taken != nullptr) *taken = count;
  return request;
}

std::string post(const std::string& fields, const std::string& rest = "") {
  return "POST /x HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + rest;
}

/// 200 for what is a request, 0 for what is none yet.
int status_of(std::string_view bytes) {
  const IncomingRequest request = read(bytes);
  if (request.refusal()) return request.refusal()->status();
  return request.complete() ? 200 : 0;
}

TEST(IncomingRequest, ARequestEndsWhereItSays) {
  const std::string next = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::pair<std::string, std::string> requests[] = {
      {"GET /x?y=1 HTTP/1.1\r\nHost: h\r\n\r\n", ""},
      {"\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n", ""},
      {post("Content-Length: 4\r\n", "abcd"), "abcd"},
      {post("content-length:\t 4 \r\n", "abcd"), "abcd"},
      {post("Content-Length: 0\r\n"), ""},
      {post("Transfer-Encoding: Chunked\r\n", "3\r\nabc\r\n00a;n=v\r\n0123456789\r\n0\r\n\r\n"),
       "abc0123456789"},
      {post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nA-Trailer: x\r\n\r\n"), "a"},
      {"GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "abc"},
  };
  for (const auto& [text, body] : requests) {
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}}) {
      IncomingRequest request(kMost);
      const std::string bytes = text + next;
      size_t taken = 0;
      while (!request.complete() && taken < bytes.size()) {
        taken += request.take(std::string_view(bytes).substr(taken, piece), open_gate());
      }
      ASSERT_FALSE(request.refusal()) << text << request.refusal()->what();
      EXPECT_EQ(taken, text.size()) << text;
      EXPECT_TRUE(request.keeps_alive());
      EXPECT_TRUE(request.plain().ends_with("\r\n\r\n" + body)) << request.plain();
    }
  }
}

/// What one server reads so and another one so is read by none.
TEST(IncomingRequest, DoubtfulFramingsAreRefused) {
  const std::string chunks = "0\r\n\r\n";
  const std::pair<std::string, int> requests[] = {
      {post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunks), 400},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunks), 400},
      {post("Content-Length: 5\r\nContent-Length: 5\r\n", chunks), 400},
      {post("Content-Length: 5\r\nContent-Length: 0\r\n", chunks), 400},
      {post("Content-Length: 5, 5\r\n", chunks), 400},
      {post("Content-Length: +5\r\n", chunks), 400},
      {post("Content-Length: -5\r\n", chunks), 400},
      {post("Content-Length: 0x5\r\n", chunks), 400},
      {post("Content-Length: 5 5\r\n", chunks), 400},
      {post("Content-Length: 5.0\r\n", chunks), 400},
      {post("Content-Length: \r\n", chunks), 400},
      {post("Content-Length: five\r\n", chunks), 400},
      {post("Content-Length: 99999999999999999999\r\n", chunks), 400},
      {post("Content-Length: 18446744073709551615\r\n", chunks), 413},
      {post("Content-Length: 101\r\n"), 413},
      {post("Transfer-Encoding: gzip, chunked\r\n", chunks), 501},
      {post("Transfer-Encoding: identity\r\n", chunks), 501},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks), 400},
      {post("Transfer-Encoding: xchunked\r\n", chunks), 501},
      {post("Transfer-Encoding : chunked\r\n", chunks), 400},
      {post("Content-Length : 5\r\n", chunks), 400},
      {post(" Content-Length: 5\r\n", chunks), 400},
      {post("X: y\r\n Content-Length: 5\r\n", chunks), 400},
      {post("X: y\r\n\tfolded\r\n"), 400},
      {post("X: y\nContent-Length: 5\r\n", chunks), 400},
      {post("X: y\rContent-Length: 5\r\n", chunks), 400},
      {post(std::string("X: a\0b\r\n", 8)), 400},
      {post("X: a\x01"
            "b\r\n"),
       400},
      {post("no colon\r\n"), 400},
      {post(": no name\r\n"), 400},
      {"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, 400},
      {"GET /x HTTP/1.1\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET /x HTTP/1.1\nHost: h\n\n", 400},
      {"GET  /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /x y HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /x\r\n\r\n", 400},
      {"GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /x#y HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"G(T /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"GET /x HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"\r\n\r\n", 400},
      {"GET /" + std::string(3000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
      {std::string(40'000, 'A'), 431},
      {post("Expect: 200-maybe\r\n"), 417},
      {"GET /x HTTP/1.1\r\nHost: h\r\n", 0},
  };
  for (const auto& [bytes, status] : requests) EXPECT_EQ(status_of(bytes), status) << bytes;
}

TEST(IncomingRequest, ChunksThatAreNotValidAreRefused) {
  const std::pair<std::string, int> bodies[] = {
      {"zz\r\n", 400},
      {"\r\n", 400},
      {"-1\r\n", 400},
      {"+1\r\na\r\n", 400},
      {"0x1\r\na\r\n", 400},
      {"1 \r\na\r\n", 400},
      {" 1\r\na\r\n", 400},
      {"1\na\r\n", 400},
      {"1;x\ny\r\na\r\n", 400},
      {"1\r\nab\r\n", 400},
      {"1\r\na\n", 400},
      {"ffffffffffffffffff\r\n", 400},
      {"ffffffffffffffff\r\n", 413},
      {"65\r\n", 413},
      {"0\r\nno colon\r\n", 400},
      {"0\r\n x: y\r\n", 400},
      {"1;" + std::string(2000, 'x'), 400},
  };
  for (const auto& [body, status] : bodies) {
    EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", body)), status) << body;
  }
}

TEST(IncomingRequest, NoByteBehindARefusalIsARequest) {
  size_t taken = 0;
  const std::string bytes = post("Content-Length: +1\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const IncomingRequest request = read(bytes, &taken);
  EXPECT_EQ(taken, bytes.size());
  EXPECT_FALSE(request.keeps_alive());
  EXPECT_EQ(request.plain(), "GET * HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
}

TEST(IncomingRequest, TheGateSeesTheHeadBeforeTheBody) {
  IncomingRequest request(kMost);
  const auto gate = [](const RequestHead& head) {
    EXPECT_EQ(*head.find("x-name"), "Value");
    throw RequestError(kUnauthorized, "no");
  };
  const std::string head = post("X-Name: Value\r\nContent-Length: 50\r\n");
  (void)request.take(head, gate);
  EXPECT_TRUE(request.complete());
  EXPECT_EQ(request.refusal()->status(), kUnauthorized);
  EXPECT_TRUE(request.plain().starts_with("POST /x HTTP/1.1\r\nContent-Length: 0\r\n"));
}

TEST(IncomingRequest, WhoWaitsIsToldToGoOn) {
  IncomingRequest request = read(post("Expect: 100-Continue\r\nContent-Length: 1\r\n"));
  EXPECT_TRUE(request.take_expectation());
  EXPECT_FALSE(request.take_expectation());
  IncomingRequest whole = read(post("Expect: 100-continue\r\nContent-Length: 1\r\n", "a"));
  EXPECT_FALSE(whole.take_expectation());
}

/// What httplib would make something of: encodings, ranges, forms.
TEST(IncomingRequest, NothingButTheRequestIsHandedOn) {
  const IncomingRequest request = read(
      post("Range: bytes=0-,0-\r\nAccept-Encoding: gzip\r\nContent-Type: multipart/form-data\r\n"
           "Connection: close\r\nTransfer-Encoding: chunked\r\n",
           "2\r\nab\r\n0\r\n\r\n"));
  EXPECT_EQ(request.plain(), "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nab");
  EXPECT_FALSE(request.keeps_alive());
}

}  // namespace
}  // namespace evo::serve
