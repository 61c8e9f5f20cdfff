// A server for tests: the built program, on a port that was free.
#pragma once

#include <arpa/inet.h>
#include <httplib.h>
#include <sys/socket.h>

#include <sstream>

#include "program.h"

namespace evo::testing {

using Json = nlohmann::json;

/// A server on a port that was free, until the object ends.
class Served {
 public:
  explicit Served(const std::string& model, const std::string& more = "") {
    int ends[2];
    EVO_CHECK(pipe(ends) == 0);
    server_ = std::make_unique<Background>(
        "serve " + model + " --name cat --port 0 --json --threads 1 " + more, ends[1]);
    close(ends[1]);
    std::string line;
    for (char c = 0; read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
    close(ends[0]);
    const std::string url = line.empty() ? "" : Json::parse(line).at("url");
    EXPECT_TRUE(url.starts_with("http://127.0.0.1:")) << line;
    port_ = std::stoi(url.substr(url.rfind(':') + 1));
  }

  [[nodiscard]] httplib::Client client() const {
    httplib::Client client("127.0.0.1", port_);
    client.set_read_timeout(60);
    return client;
  }
  [[nodiscard]] httplib::Result post(const std::string& path, const Json& body) const {
    return client().Post(path, body.dump(), "application/json");
  }
  /// The reply, which must be of this status.
  [[nodiscard]] Json ask(const std::string& path, const Json& body, int status = 200) const {
    const httplib::Result result = post(path, body);
    EXPECT_TRUE(result) << httplib::to_string(result.error());
    if (!result) return {};
    EXPECT_EQ(result->status, status) << result->body;
    return Json::parse(result->body);
  }

  /// A connection on which anything can be written.
  [[nodiscard]] int connect() const {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EVO_CHECK(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    return socket;
  }
  Background& program() { return *server_; }

 private:
  std::unique_ptr<Background> server_;
  int port_ = 0;
};

/// The objects of a stream of events, which must end as it should.
inline std::vector<Json> events_of(const std::string& body) {
  std::vector<Json> events;
  std::istringstream lines(body);
  std::string line, last;
  while (std::getline(lines, line)) {
    if (!line.starts_with("data: ")) continue;
    last = line.substr(6);
    if (last != "[DONE]") events.push_back(Json::parse(last));
  }
  EXPECT_EQ(last, "[DONE]");
  return events;
}

}  // namespace evo::testing
