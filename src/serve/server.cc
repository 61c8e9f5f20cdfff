#include "serve/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>

#include "base/log.h"
#include "serve/api/api.h"
#include "serve/api/handler.h"
#include "serve/http/connection.h"
#include "serve/http/page.h"
#include "serve/http/reception.h"

namespace evo::serve {
namespace {

using httplib::Request;
using httplib::Response;

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
    default:
      return {status, "the request is not valid HTTP, or too long"};
  }
}

}  // namespace

class Server::Http : public httplib::Server {
 public:
  Http(Engine& engine, const Service& service, Metrics& metrics, const ServerOptions& options)
      : access_(options.access, options.host),
        shared_texts_(options.access.api_key.empty() ? nullptr : std::make_unique<OwnTexts>()),
        api_(engine, service, metrics, shared_texts_.get()),
        metrics_(metrics),
        options_(options) {
    new_task_queue = [] { return new AtOnce; };
    set_payload_max_length(options_.limits.body_bytes);
    set_tcp_nodelay(true);
    // Not the library's default, with which a second server could share the port unnoticed.
    set_socket_options([this](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
      socket_ = socket;  // the last one tried is the one bound
    });
    set_pre_routing_handler(
        [](const Request& request, Response& response) { return before(request, response); });
    set_post_routing_handler(
        [this](const Request&, Response& response) { say_who_may_read(response); });
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
    reception_ = std::make_unique<Reception>(
        static_cast<size_t>(options_.connections), options_.limits,
        [this](const RequestHead& head) { access_.check(head); },
        [this](Connection& connection) { return serve(connection); });
    listener_ = std::thread([this] { listen_after_bind(); });
    while (!is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return port;
  }

  void end() {
    stop();
    if (listener_.joinable()) listener_.join();
    if (reception_) reception_->end();
  }

 private:
  /// The library's listener gives new connections to the reception, which takes no time.
  class AtOnce : public httplib::TaskQueue {
   public:
    void enqueue(std::function<void()> task) override { task(); }
    void shutdown() override {}
  };

  bool process_and_close_socket(socket_t socket) override {
    reception_->add(socket);
    return true;
  }

  bool serve(Connection& connection) {
    bool closed = false;
    const bool last = !connection.request().keeps_alive();
    return process_request(connection, last, closed, nullptr) && !closed;
  }

  /// Before the routes: what was refused when its head was read, and what browsers ask for pages.
  static HandlerResponse before(const Request& request, Response& response) {
    note() = Note();
    const IncomingRequest& incoming = Connection::current()->request();
    if (const std::optional<RequestError>& refusal = incoming.refusal()) {
      set_error(response, *refusal);
      if (refusal->status() == kUnauthorized) response.set_header("WWW-Authenticate", "Bearer");
      return HandlerResponse::Handled;
    }
    if (!Access::is_preflight(incoming.head())) return HandlerResponse::Unhandled;
    const Route* route = route_of(request.path);
    response.status = 204;
    response.set_header("Access-Control-Allow-Methods", route != nullptr ? route->method : "GET");
    if (const std::string* fields = incoming.head().find("access-control-request-headers")) {
      response.set_header("Access-Control-Allow-Headers", *fields);
    }
    response.set_header("Access-Control-Max-Age", "600");
    return HandlerResponse::Handled;
  }

  void say_who_may_read(Response& response) const {
    const std::string reader = access_.readable_for(Connection::current()->request().head());
    if (reader.empty()) return;
    response.set_header("Access-Control-Allow-Origin", reader);
    response.set_header("Access-Control-Expose-Headers", "X-Evo-Warning");
    response.set_header("Vary", "Origin");
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

  Access access_;
  std::unique_ptr<OwnTexts> shared_texts_;  // of all who have the key
  Api api_;
  Metrics& metrics_;
  ServerOptions options_;
  std::unique_ptr<Reception> reception_;
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

}  // namespace evo::serve
