// `evo serve` and clients that want to end it, fill it or fool it.
#include <sys/time.h>

#include <fstream>

#include "served.h"

namespace evo::testing {
namespace {

/// What an attacker wants to be taken for a request, in the body of another one: the answer to it
/// could not be overlooked.
const std::string kSmuggled = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr const char* kAnswerToSmuggled = "owned_by";

const std::string kLength = std::to_string(kSmuggled.size());
const std::string kChunked = "Transfer-Encoding: chunked\r\n";
const std::string kInChunks = [] {
  std::ostringstream size;
  size << std::hex << kSmuggled.size();
  return size.str() + "\r\n" + kSmuggled + "\r\n0\r\n\r\n";
}();

std::string with_length(const std::string& length) {
  return "Content-Length: " + length + "\r\n";
}

std::string request(const std::string& line, const std::string& fields, const std::string& body) {
  return line + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n" + body;
}

std::string tokenize(const std::string& fields, const std::string& body) {
  return request("POST /tokenize", fields, body);
}

std::string honest_tokenize() {
  const std::string body = R"({"content": "cat"})";
  return tokenize(with_length(std::to_string(body.size())), body);
}

/// Writes all of it, then an honest request, the last one of the connection; returns all that
/// comes back.
std::string answers_to(const Served& served, const std::string& bytes) {
  const int socket = served.connect();
  const timeval patience{60, 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const std::string all = bytes + request("GET /health", "Connection: close\r\n", "");
  (void)!send(socket, all.data(), all.size(), MSG_NOSIGNAL);
  std::string reply;
  char buffer[4096];
  for (ssize_t got = 0; (got = recv(socket, buffer, sizeof(buffer), 0)) > 0;) {
    reply.append(buffer, static_cast<size_t>(got));
  }
  close(socket);
  return reply;
}

std::vector<int> statuses_of(const std::string& reply) {
  const std::string kBegin = "HTTP/1.1 ";
  std::vector<int> statuses;
  for (size_t at = 0; (at = reply.find(kBegin, at)) != std::string::npos; at += kBegin.size()) {
    statuses.push_back(std::stoi(reply.substr(at + kBegin.size(), 3)));
  }
  return statuses;
}

struct Framing {
  std::string name, bytes;
  std::vector<int> statuses;  ///< of all answers; the last request's is 200, if it is heard
};

/// Ways to let a body look like a request to one of two who read the same bytes.
std::vector<Framing> framings() {
  const std::string& s = kSmuggled;
  const std::string head = with_length(kLength);
  return {
      {"CL.TE", tokenize(head + kChunked, "0\r\n\r\n" + s), {400}},
      {"TE.CL", tokenize(kChunked + head, "0\r\n\r\n" + s), {400}},
      {"CL.CL, equal", tokenize(head + head, s), {400}},
      {"CL.CL", tokenize(with_length("0") + head, s), {400}},
      {"CL.CL, the other way", tokenize(head + with_length("0"), s), {400}},
      {"TE.TE", tokenize(kChunked + kChunked, kInChunks), {400}},
      {"a list of lengths", tokenize(with_length(kLength + ", " + kLength), s), {400}},
      {"a plus", tokenize(with_length("+" + kLength), s), {400}},
      {"a minus", tokenize(with_length("-" + kLength), s), {400}},
      {"hexadecimal", tokenize(with_length("0x10"), s), {400}},
      {"two numbers", tokenize(with_length("1 " + kLength), s), {400}},
      {"a fraction", tokenize(with_length(kLength + ".0"), s), {400}},
      {"no number", tokenize(with_length(""), s), {400}},
      {"beyond 64 bits", tokenize(with_length("18446744073709551616"), s), {400}},
      {"too large", tokenize(with_length("18446744073709551615"), s), {413}},
      {"larger than is taken", tokenize(with_length("2000000"), s), {413}},
      {"a space before the colon", tokenize("Content-Length : " + kLength + "\r\n", s), {400}},
      {"a tab before the colon", tokenize("Transfer-Encoding\t: chunked\r\n", kInChunks), {400}},
      {"a space before the name", tokenize(" " + head, s), {400}},
      {"a folded line", tokenize("X: y\r\n " + kChunked, kInChunks), {400}},
      {"a line feed", tokenize("X: y\n" + head, s), {400}},
      {"line feeds only", "POST /tokenize HTTP/1.1\nHost: localhost\n\n" + s, {400}},
      {"a carriage return", tokenize("X: y\r" + head, s), {400}},
      {"a null byte", tokenize(std::string("X: \0\r\n", 6) + head, s), {400}},
      {"a null byte in a name", tokenize(std::string("Content-Length\0: 9\r\n", 20), s), {400}},
      {"another encoding", tokenize("Transfer-Encoding: xchunked\r\n", kInChunks), {501}},
      {"two encodings", tokenize("Transfer-Encoding: chunked, identity\r\n", kInChunks), {501}},
      {"an encoding in quotes", tokenize("Transfer-Encoding: \"chunked\"\r\n", kInChunks), {501}},
      {"a chunk with a plus", tokenize(kChunked, "+" + kInChunks), {400}},
      {"a chunk with 0x", tokenize(kChunked, "0x" + kInChunks), {400}},
      {"a chunk with a minus", tokenize(kChunked, "-" + kInChunks), {400}},
      {"a chunk with a space", tokenize(kChunked, " " + kInChunks), {400}},
      {"a chunk longer than it says", tokenize(kChunked, "1\r\n" + s + "\r\n0\r\n\r\n"), {400}},
      {"a chunk without its end", tokenize(kChunked, "1\r\nx0\r\n\r\n" + s), {400}},
      {"chunks with line feeds", tokenize(kChunked, "1\nx\n0\n\n" + s), {400}},
      {"a chunk beyond 64 bits", tokenize(kChunked, "10000000000000000\r\n" + s), {400}},
      {"a chunk of all memory", tokenize(kChunked, "ffffffffffffffff\r\n" + s), {413}},
      {"a request as a trailer", tokenize(kChunked, "0\r\n" + s), {400}},
      {"chunks in HTTP/1.0", "POST /tokenize HTTP/1.0\r\n" + kChunked + "\r\n" + kInChunks, {400}},
      {"a body in HTTP/1.0", "GET /health HTTP/1.0\r\n" + head + "\r\n" + s, {200}},
      {"GET with a body", request("GET /health", head, s), {200, 200}},
      {"GET with chunks", request("GET /health", kChunked, kInChunks), {200, 200}},
      {"HEAD with a body", request("HEAD /health", head, s), {200, 200}},
      {"OPTIONS with a body", request("OPTIONS /tokenize", head, s), {405, 200}},
      {"DELETE with a body", request("DELETE /tokenize", head, s), {405, 200}},
      {"PUT with chunks", request("PUT /tokenize", kChunked, kInChunks), {405, 200}},
      {"TRACE with a body", request("TRACE /health", head, s), {501}},
      {"no such address", request("POST /nothing", head, s), {404, 200}},
      {"another method", request("POST /health", head, s), {405, 200}},
      {"a body that is no JSON", tokenize(head, s), {400, 200}},
      {"the last request", tokenize("Connection: close\r\n" + head, s), {400}},
      {"a body that is waited for", tokenize("Expect: 100-continue\r\n" + head, s), {400, 200}},
      {"another expectation", tokenize("Expect: 100-nothing\r\n" + head, s), {417}},
      {"compressed", tokenize("Content-Encoding: br\r\n" + head, s), {415}},
      {"another page", tokenize("Origin: http://evil.example\r\n" + head, s), {403}},
      {"another host",
       "POST /tokenize HTTP/1.1\r\nHost: evil.example\r\n" + head + "\r\n" + s,
       {403}},
      {"no host", "POST /tokenize HTTP/1.1\r\n" + head + "\r\n" + s, {400}},
      {"two hosts", tokenize("Host: localhost\r\n" + head, s), {400}},
      {"an upgrade",
       request("GET /health", "Upgrade: h2c\r\nConnection: Upgrade\r\n" + head, s),
       {200, 200}},
      {"a proxy's address", request("POST http://localhost/tokenize", head, s), {400}},
      {"another version",
       "POST /tokenize HTTP/1.2\r\nHost: localhost\r\n" + head + "\r\n" + s,
       {505}},
      {"honest ones in a row", honest_tokenize() + honest_tokenize(), {200, 200, 200}},
      {"honest chunks",
       tokenize(kChunked, "12\r\n{\"content\": \"cat\"}\r\n0\r\n\r\n"),
       {200, 200}},
  };
}

void check_framings(const Served& served, const std::vector<Framing>& list) {
  for (const Framing& framing : list) {
    const std::string reply = answers_to(served, framing.bytes);
    EXPECT_EQ(statuses_of(reply), framing.statuses) << framing.name << "\n" << reply;
    EXPECT_EQ(reply.find(kAnswerToSmuggled), std::string::npos) << framing.name << "\n" << reply;
  }
}

class ServeHostile : public ProgramTest {
 protected:
  static Json completion(const std::string& prompt) {
    return {{"prompt", prompt}, {"max_tokens", 4}, {"temperature", 0}};
  }
  /// Takes longer than any test: a token ripens in many passes.
  static Json endless() {
    return {{"prompt", "x"},       {"max_tokens", 60}, {"temperature", 1},
            {"mode", "diffusion"}, {"window", 60},     {"steps", 4000}};
  }
};

TEST_F(ServeHostile, NoByteOfABodyRunsAsARequest) {
  const Served served(model());
  check_framings(served, framings());
  const Served locked(model("model"), "--api-key secret");
  check_framings(
      locked,
      {
          {"a body without the key", tokenize(with_length(kLength), kSmuggled), {401}},
          {"chunks without the key", tokenize(kChunked, kInChunks), {401}},
          {"GET with a body, without the key",
           request("GET /metrics", with_length(kLength), kSmuggled),
           {401}},
          {"a request behind a refused one", request("GET /metrics", "", "") + kSmuggled, {401}},
      });
}

/// Someone whose requests are refused cannot disturb another behind the same proxy.
TEST_F(ServeHostile, ARefusalTouchesNobodyElse) {
  const Served served(model(), "--api-key secret");
  for (int i = 0; i < 20; ++i) {
    (void)answers_to(served, tokenize(with_length(kLength), kSmuggled));
    const std::string body = R"({"content": "cat"})";
    const std::string key = "Authorization: Bearer secret\r\n";
    const std::string reply =
        answers_to(served, tokenize(key + with_length(std::to_string(body.size())), body));
    EXPECT_EQ(statuses_of(reply), (std::vector<int>{200, 200})) << reply;
  }
}

TEST_F(ServeHostile, NothingIsInflatedOrRepeated) {
  const Served served(model());
  const httplib::Result plain = served.client().Get("/web/main.mjs");
  ASSERT_TRUE(plain);
  std::string ranges = "bytes=0-0";
  for (int i = 0; i < 1300; ++i) ranges += ",0-";
  for (const std::string& range : {ranges, std::string("bytes=0-9"), std::string("bytes=x")}) {
    httplib::Client client = served.client();
    client.set_decompress(false);
    const httplib::Result result =
        client.Get("/web/main.mjs", {{"Range", range}, {"Accept-Encoding", "br, gzip, deflate"}});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->status, 200);
    EXPECT_FALSE(result->has_header("Content-Encoding"));
    EXPECT_EQ(result->body, plain->body);
  }
}

TEST_F(ServeHostile, FormsAreBodiesLikeOthers) {
  const Served served(model());
  const std::string text(9000, 'x');
  for (const char* type :
       {"application/x-www-form-urlencoded", "multipart/form-data; boundary=x"}) {
    const httplib::Result result =
        served.client().Post("/tokenize", Json({{"content", text}}).dump(), type);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->status, 200) << result->body;
    EXPECT_FALSE(Json::parse(result->body).at("tokens").empty());
  }
}

TEST_F(ServeHostile, PagesOfOthersMayNotAsk) {
  const Served closed(model()), open(model(), "--cors https://app.example");
  const std::string body = completion("x").dump();
  const auto ask = [&](const Served& served, const std::string& origin) {
    return served.client().Post("/v1/completions", {{"Origin", origin}}, body, "text/plain");
  };
  EXPECT_EQ(ask(closed, "https://app.example")->status, 403);
  EXPECT_EQ(ask(open, "https://evil.example")->status, 403);
  const httplib::Result allowed = ask(open, "https://app.example");
  EXPECT_EQ(allowed->status, 200);
  EXPECT_EQ(allowed->get_header_value("Access-Control-Allow-Origin"), "https://app.example");
  const httplib::Headers asks = {{"Origin", "https://app.example"},
                                 {"Access-Control-Request-Method", "POST"},
                                 {"Access-Control-Request-Headers", "content-type,authorization"}};
  const httplib::Result preflight = open.client().Options("/v1/completions", asks);
  EXPECT_EQ(preflight->status, 204);
  EXPECT_EQ(preflight->get_header_value("Access-Control-Allow-Methods"), "POST");
  EXPECT_EQ(preflight->get_header_value("Access-Control-Allow-Headers"),
            "content-type,authorization");
  EXPECT_EQ(closed.client().Options("/v1/completions", asks)->status, 403);
  expect_refusal("serve " + model() + " --cors app.example", 2, {"--cors", "origin"});
}

/// Clients that say nothing, or little, keep no place that another needs.
TEST_F(ServeHostile, IdleConnectionsGiveWay) {
  const Served served(model(), "--connections 4");
  std::vector<int> sockets;
  for (int i = 0; i < 12; ++i) {
    sockets.push_back(served.connect());
    const std::string text = i % 2 == 0 ? "" : "GET /health HTT";
    (void)!send(sockets.back(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  EXPECT_TRUE(wait_until([&] {
    const httplib::Result result = served.client().Get("/health");
    return result && result->status == 200;
  }));
  for (const int socket : sockets) close(socket);
}

TEST_F(ServeHostile, TooManyAtWorkAreToldSo) {
  const Served small(model(), "--connections 2");
  Json asked = endless();
  asked["stream"] = true;
  const std::string body = asked.dump();
  const std::string text =
      request("POST /v1/completions", with_length(std::to_string(body.size())), body);
  const int sockets[] = {small.connect(), small.connect()};
  for (const int socket : sockets) {
    (void)!send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    // A connection whose request nobody has read yet would give way to the next one.
    const auto is_answered = [&] {
      char byte = 0;
      return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    };
    ASSERT_TRUE(wait_until(is_answered));
  }
  const auto health = [&] {
    const httplib::Result result = small.client().Get("/health");
    return result ? result->status : 0;
  };
  EXPECT_TRUE(wait_until([&] { return health() == 503; }));
  for (const int socket : sockets) close(socket);
  EXPECT_TRUE(wait_until([&] { return health() == 200; }));
}

/// Who trickles bytes, or says nothing, is not waited for: the connection just ends, with no answer
/// that the time for a request is over.
TEST_F(ServeHostile, ASignalWaitsForNobodyWhoTrickles) {
  Served served(model());
  const int idle = served.connect(), slow = served.connect();
  const std::string begin = "GET /health HTTP/1.1\r\nX: ";
  ASSERT_EQ(send(slow, begin.data(), begin.size(), MSG_NOSIGNAL), std::ssize(begin));
  EXPECT_EQ(served.client().Get("/health")->status, 200);
  kill(served.program().id(), SIGTERM);
  std::string reply;
  EXPECT_TRUE(wait_until([&] {
    char byte = 'x';
    (void)!send(slow, &byte, 1, MSG_NOSIGNAL);
    const ssize_t got = recv(slow, &byte, 1, MSG_DONTWAIT);
    if (got > 0) reply += byte;
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
  }));
  EXPECT_EQ(reply, "");
  EXPECT_EQ(served.program().wait(), 0);
  close(idle);
  close(slow);
}

/// What was cached for one client is not told to another.
TEST_F(ServeHostile, CachedTokensAreTheClientsOwn) {
  const auto cached = [](httplib::Client& client, const httplib::Headers& key = {}) {
    const std::string body = completion("The cat sat on the mat").dump();
    const httplib::Result result = client.Post("/v1/completions", key, body, "text/plain");
    EXPECT_TRUE(result) << httplib::to_string(result.error());
    if (!result) return -1;
    return Json::parse(result->body)["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
  };
  const Served served(model());
  httplib::Client one = served.client(), other = served.client();
  one.set_keep_alive(true);
  EXPECT_EQ(cached(one), 0);
  EXPECT_EQ(cached(other), 0);
  EXPECT_GT(cached(one), 0);
  const Served locked(model(), "--api-key secret");
  const httplib::Headers key = {{"Authorization", "bearer secret"}};
  httplib::Client first = locked.client(), second = locked.client();
  EXPECT_EQ(cached(first, key), 0);
  EXPECT_GT(cached(second, key), 0);
}

int64_t resident_kilobytes(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string word; status >> word;) {
    int64_t size = 0;
    if (word == "VmRSS:" && status >> size) return size;
  }
  return -1;
}

/// When clients are quiet, and memory is given back.
int64_t settled_kilobytes(pid_t process) {
  for (int64_t last = -1;;) {
    const int64_t now = resident_kilobytes(process);
    if (now == last) return now;
    last = now;
    std::this_thread::sleep_for(std::chrono::seconds(2));
  }
}

void attack(const Served& served) {
  check_framings(served, framings());
  const std::string large = Json({{"content", std::string(900'000, 'x')}}).dump();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(served.client().Post("/tokenize", large, "text/plain")->status, 200);
    (void)served.client().Post("/tokenize", large + large, "text/plain");
    const std::string deep(500'000, '[');
    EXPECT_EQ(served.client().Post("/v1/completions", deep, "text/plain")->status, 400);
  }
  std::vector<int> sockets;
  for (int i = 0; i < 40; ++i) {
    sockets.push_back(served.connect());
    const std::string part = tokenize(with_length("1000000"), std::string(100'000, ' '));
    (void)!send(sockets.back(), part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  for (const int socket : sockets) close(socket);
  EXPECT_TRUE(wait_until([&] {
    const httplib::Result result = served.client().Get("/health");
    return result && result->status == 200;
  }));
}

TEST_F(ServeHostile, AfterAllOfItTheServerIsAsBefore) {
  Served served(model(), "--connections 8");
  const Json expected = served.ask("/v1/completions", completion("The cat")).at("choices");
  // Rounds leave what large requests do: stacks of threads and their arenas, of which a busy
  // machine takes more, the encoders' tables. That comes to an end. What a round loses does not: of
  // any of its large requests it would be half a megabyte at least, in every round.
  constexpr int kRounds = 12;
  constexpr int64_t kLost = 256;
  int64_t before = 0, now = settled_kilobytes(served.program().id());
  for (int round = 0; round < kRounds && now - before > kLost; ++round) {
    before = now;
    attack(served);
    now = settled_kilobytes(served.program().id());
    ASSERT_GT(now, 0);
  }
  EXPECT_EQ(served.ask("/v1/completions", completion("The cat")).at("choices"), expected);
  EXPECT_LE(now - before, kLost) << "kilobytes more after round " << kRounds;
}

}  // namespace
}  // namespace evo::testing
