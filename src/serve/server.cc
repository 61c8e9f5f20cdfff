#include "serve/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "base/log.h"
#include "serve/api.h"
#include "serve/connection.h"
#include "serve/handler.h"
#include "serve/page.h"
#include "serve/reply.h"

namespace evo {
namespace {

using httplib::Request;
using httplib::Response;

constexpr size_t kBodyBytes = size_t{1} << 20;
constexpr size_t kKeepAlive = 1000;  // requests of a connection

struct Route {
  const char* method;
  const char* path;
};
constexpr std::array kRoutes = {
    Route{"POST", "/v1/completions"}, Route{"POST", "/v1/chat/completions"},
    Route{"POST", "/v1/infill"},      Route{"GET", "/v1/models"},
    Route{"POST", "/tokenize"},       Route{"POST", "/detokenize"},
    Route{"GET", "/health"},          Route{"GET", "/metrics"},
    Route{"GET", kPageRoot}};

/// What logs and metrics name; all files of the page are one.
const Route* route_of(const std::string& path) {
  const auto* found = std::ranges::find(kRoutes, is_of_page(path) ? kPageRoot : path, &Route::path);
  return found == kRoutes.end() ? nullptr : found;
}

/// The errors of httplib itself have no text.
RequestError described(int status, const Request& request) {
  switch (status) {
    case kNotFound: {
      const Route* route = route_of(request.path);
      if (route == nullptr || request.method == route->method) {
        return {kNotFound, "there is nothing at this address"};
      }
      return {kNotAllowed, fmt::format("{} takes {} only", request.path, route->method)};
    }
    case kTooLarge:
      return {kTooLarge, fmt::format("a request has at most {} bytes", kBodyBytes)};
    default:
      return {status, "the request is not valid HTTP, or too long"};
  }
}

}  // namespace

bool equal_secret(std::string_view given, std::string_view secret) {
  size_t different = given.size() ^ secret.size();
  for (size_t i = 0; i < given.size(); ++i) {
    const char other = secret.empty() ? '\0' : secret[i % secret.size()];
    different |= static_cast<unsigned char>(given[i] ^ other);
  }
  return different == 0;
}

class Server::Http : public httplib::Server {
 public:
  Http(Engine& engine, const Service& service, Metrics& metrics, const ServerOptions& options)
      : api_(engine, service, metrics), metrics_(metrics), options_(options) {
    new_task_queue = [this] {
      return new Pool(static_cast<size_t>(options_.connections), connections_);
    };
    set_payload_max_length(kBodyBytes);
    set_tcp_nodelay(true);
    // Not the library's default, with which a second server could share the port unnoticed.
    set_socket_options([this](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
      socket_ = socket;  // the last one tried is the one bound
    });
    set_pre_routing_handler(
        [this](const Request& request, Response& response) { return before(request, response); });
    set_error_handler([](const Request& request, Response& response) {
      if (response.body.empty()) set_error(response, described(response.status, request));
    });
    set_logger(
        [this](const Request& request, const Response& response) { after(request, response); });
    api_.add_routes(*this);
    add_page_routes(*this);
  }

  int start() {
    const int port = options_.port == 0 ? bind_to_any_port(options_.host) : options_.port;
    const bool bound = options_.port == 0 ? port > 0 : bind_to_port(options_.host, options_.port);
    if (!bound) {
      fail("cannot listen on {} port {}: choose another --host or --port, or 0 for any free port",
           options_.host, options_.port);
    }
    // The library lets five connections wait to be accepted, and the kernel drops what comes
    // beyond: such a client tries again after a second.
    ::listen(socket_, SOMAXCONN);
    listener_ = std::thread([this] { listen_after_bind(); });
    while (!is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return port;
  }

  void end() {
    stop();
    if (listener_.joinable()) listener_.join();
  }

 private:
  /// A thread per connection. Who comes when all are taken is told so at once.
  class Pool : public httplib::ThreadPool {
   public:
    Pool(size_t threads, std::atomic<int64_t>& connections)
        : ThreadPool(threads), threads_(static_cast<int64_t>(threads)), connections_(connections) {}

    void enqueue(std::function<void()> serve) override {
      if (++connections_ > threads_) {
        refusing = true;
        serve();
        refusing = false;
        --connections_;
        return;
      }
      ThreadPool::enqueue([this, serve = std::move(serve)] {
        serve();
        --connections_;
      });
    }

   private:
    int64_t threads_;
    std::atomic<int64_t>& connections_;
  };
  static inline thread_local bool refusing = false;

  bool process_and_close_socket(socket_t socket) override {
    Connection connection(socket, options_.limits);
    if (refusing) {
      refuse(connection);
    } else {
      serve(connection);
    }
    ::close(socket);
    return true;
  }

  void serve(Connection& connection) {
    const auto stopped = [this] { return svr_sock_ == INVALID_SOCKET; };
    bool open = true;
    for (size_t left = kKeepAlive; open && left > 0; --left) {
      if (!connection.await_request(stopped)) break;
      bool closed = false;
      open = process_request(connection, left == 1, closed, nullptr) && !closed &&
             !connection.is_spent();
    }
    connection.close_gently();
  }

  static void refuse(Connection& connection) {
    const std::string body =
        dump(error_json({kUnavailable, "too many connections: try again later"}));
    const std::string text = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: {}\r\n"
        "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        kJson, body.size(), body);
    (void)connection.write(text.data(), text.size());
    ::shutdown(connection.socket(), SHUT_WR);
  }

  /// Before the body is read: who asks without the key gets nothing done.
  HandlerResponse before(const Request& request, Response& response) {
    note() = Note();
    const bool open =
        options_.api_key.empty() || request.path == "/health" || is_of_page(request.path);
    if (open ||
        equal_secret(request.get_header_value("Authorization"), "Bearer " + options_.api_key)) {
      return HandlerResponse::Unhandled;
    }
    set_error(response, {kUnauthorized, "expected the server's key, as Authorization: Bearer KEY",
                         "", "invalid_api_key"});
    response.set_header("WWW-Authenticate", "Bearer");
    return HandlerResponse::Handled;
  }

  void after(const Request& request, const Response& response) {
    const Route* route = route_of(request.path);
    const char* path = route != nullptr ? route->path : "other";
    metrics_.count_request(path, response.status);
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - note().begin;
    std::string tokens;
    if (note().prompt_tokens > 0) {
      tokens = fmt::format(", {} tokens after {}", note().generated, note().prompt_tokens);
    }
    log_info("{} {}, {:.0f} ms{}", path, response.status, taken.count(), tokens);
    note() = Note();
  }

  Api api_;
  Metrics& metrics_;
  ServerOptions options_;
  std::atomic<int64_t> connections_ = 0;
  std::thread listener_;
  socket_t socket_ = INVALID_SOCKET;
};

Server::Server(Engine& engine, const Service& service, Metrics& metrics,
               const ServerOptions& options)
    : http_(std::make_unique<Http>(engine, service, metrics, options)) {}

Server::~Server() {
  stop();
}

int Server::start() {
  return http_->start();
}

void Server::stop() {
  http_->end();
}

}  // namespace evo
