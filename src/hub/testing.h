// A hub for tests: on this machine, with the interface that hub/pull.h and the hub's own client ask
// for, and with faults on demand.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "hub/digest.h"

namespace evo::hub::testing {

inline std::string digest_of(std::string_view content, DigestKind kind) {
  Digest digest(kind, std::ssize(content));
  digest.add(content);
  return digest.finish();
}

struct StoredFile {
  std::string path, content;
  bool large = false;  ///< in LFS: named by its SHA-256, and sent by another host

  [[nodiscard]] std::string digest() const {
    return digest_of(content, large ? DigestKind::kSha256 : DigestKind::kGitBlob);
  }
};

struct HttpRequest {
  std::string method, path, query;
  std::map<std::string, std::string> headers;  ///< names in lower case

  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

inline std::string http_reply(int status, const std::string& headers, const std::string& body) {
  return fmt::format("HTTP/1.1 {} Status\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n{}",
                     status, body.size(), headers, body);
}

/// One repository, OWNER/NAME, at one commit, "main". Each request has a connection of its own.
class StandInHub {
 public:
  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";
  static constexpr const char* kRepository = "owner/tiny-model";

  StandInHub() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EVO_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    EVO_CHECK(listen(listener_, 64) == 0);
    socklen_t size = sizeof address;
    EVO_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { accept_all(); });
  }
  ~StandInHub() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  StandInHub(const StandInHub&) = delete;
  StandInHub& operator=(const StandInHub&) = delete;

  [[nodiscard]] std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  /// Another name of the same machine: another host, as far as a client can know.
  [[nodiscard]] std::string other_url() const { return fmt::format("http://localhost:{}", port_); }

  std::vector<StoredFile> files;  ///< to be set before the first request
  /// What a request gets instead of its reply, as bytes; the connection then ends.
  std::function<std::optional<std::string>(const HttpRequest& request)> fault;
  std::atomic<bool> hold = false;  ///< connections stay open behind their replies

  [[nodiscard]] std::vector<HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// How many had a path that begins so.
  [[nodiscard]] int64_t asked(std::string_view begin) const {
    return std::ranges::count_if(
        requests(), [&](const HttpRequest& request) { return request.path.starts_with(begin); });
  }

  /// The list of files as a hub gives it.
  [[nodiscard]] nlohmann::json tree() const {
    nlohmann::json list = nlohmann::json::array();
    for (const StoredFile& file : files) {
      nlohmann::json entry = {{"type", "file"}, {"path", file.path}, {"size", file.content.size()}};
      entry["oid"] = digest_of(file.content, DigestKind::kGitBlob);
      if (file.large) {
        entry["lfs"] = {
            {"oid", file.digest()}, {"size", file.content.size()}, {"pointerSize", 130}};
      }
      list.push_back(entry);
    }
    return list;
  }

  /// The reply without faults.
  [[nodiscard]] std::string reply(const HttpRequest& request) const {
    const std::string api = fmt::format("/api/models/{}/", kRepository);
    const std::string resolve = fmt::format("/{}/resolve/{}/", kRepository, kCommit);
    const std::string later = fmt::format("/{}/resolve/main/", kRepository);
    if (request.path == api + "revision/main" || request.path == api + "revision/" + kCommit) {
      const nlohmann::json info = {{"id", kRepository}, {"sha", kCommit}};
      return http_reply(200, "", info.dump());
    }
    if (request.path == api + "tree/" + kCommit) return http_reply(200, "", tree().dump());
    for (const StoredFile& file : files) {
      if (request.path == "/content/" + file.digest()) return content(file, request);
      if (request.path != resolve + file.path && request.path != later + file.path) continue;
      std::string head =
          fmt::format("ETag: \"{}\"\r\nX-Repo-Commit: {}\r\n", file.digest(), kCommit);
      if (!file.large) return content(file, request, head);
      head += fmt::format("X-Linked-ETag: \"{}\"\r\nX-Linked-Size: {}\r\n", file.digest(),
                          file.content.size());
      return http_reply(302,
                        head + fmt::format("Location: {}/content/{}?signature=secret\r\n",
                                           other_url(), file.digest()),
                        "");
    }
    return http_reply(404, "X-Error-Code: RepoNotFound\r\nX-Error-Message: not here\r\n", "");
  }

 private:
  static std::string content(const StoredFile& file, const HttpRequest& request,
                             const std::string& head = "") {
    const std::string range = request.header("range");
    if (range.empty()) return http_reply(200, head, file.content);
    const size_t from = std::stoul(range.substr(range.find('=') + 1));
    if (from >= file.content.size()) return http_reply(416, head, "");
    return http_reply(206,
                      head + fmt::format("Content-Range: bytes {}-{}/{}\r\n", from,
                                         file.content.size() - 1, file.content.size()),
                      file.content.substr(from));
  }

  void accept_all() {
    std::vector<std::thread> connections;
    while (true) {
      const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) break;
      connections.emplace_back([this, connection] { serve(connection); });
    }
    for (std::thread& connection : connections) connection.join();
  }

  void serve(int connection) {
    std::string head;
    for (char c = 0; !head.ends_with("\r\n\r\n") && recv(connection, &c, 1, 0) == 1;) head += c;
    const HttpRequest request = parsed(head);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    std::string bytes;
    if (const auto other = fault ? fault(request) : std::nullopt) {
      bytes = *other;
    } else {
      bytes = reply(request);
      if (request.method == "HEAD") bytes.resize(bytes.find("\r\n\r\n") + 4);
    }
    for (std::string_view rest = bytes; !rest.empty();) {
      const ssize_t sent = send(connection, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      rest.remove_prefix(static_cast<size_t>(sent));
    }
    while (hold) usleep(1000);
    shutdown(connection, SHUT_WR);
    for (char c = 0; recv(connection, &c, 1, 0) == 1;) continue;  // until the client is done
    close(connection);
  }

  static HttpRequest parsed(const std::string& head) {
    HttpRequest request;
    const size_t space = head.find(' '), end = head.find(' ', space + 1);
    request.method = head.substr(0, space);
    const std::string target = head.substr(space + 1, end - space - 1);
    request.path = target.substr(0, target.find('?'));
    if (target.size() > request.path.size()) request.query = target.substr(request.path.size() + 1);
    for (size_t begin = head.find("\r\n") + 2; begin < head.size();) {
      const size_t stop = head.find("\r\n", begin), colon = head.find(": ", begin);
      if (colon == head.npos || colon > stop) break;
      std::string name = head.substr(begin, colon - begin);
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
      request.headers[name] = head.substr(colon + 2, stop - colon - 2);
      begin = stop + 2;
    }
    return request;
  }

  int listener_, port_ = 0;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
};

/// What a model folder has, in small.
inline std::vector<StoredFile> tiny_model() {
  std::string weights(300'000, '\0');
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<char>(i * i % 251);
  return {{".gitattributes", "text"},
          {"README.md", "A model"},
          {"config.json", R"({"model_type": "llama"})"},
          {"generation_config.json", "{}"},
          {"model.safetensors", weights, true},
          {"pytorch_model.bin", "pickle", true},
          {"onnx/config.json", "{}"},
          {"tokenizer.json", "{\"version\": \"1.0\"}"},
          {"tokenizer_config.json", "{}"},
          {"chat_template.jinja", ""}};
}

}  // namespace evo::hub::testing
