#include "serve/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <random>
#include <thread>

#include "base/log.h"
#include "serve/connection.h"
#include "serve/reply.h"

namespace evo {
namespace {

using httplib::Request;
using httplib::Response;
using Clock = std::chrono::steady_clock;

constexpr const char* kJson = "application/json";
constexpr auto kPatience = std::chrono::milliseconds(100);  // between looks at the client
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
    Route{"GET", "/health"},          Route{"GET", "/metrics"}};

const Route* route_of(const std::string& path) {
  const auto* found = std::ranges::find(kRoutes, path, &Route::path);
  return found == kRoutes.end() ? nullptr : found;
}

/// What the log says of the request that this thread handles.
struct Note {
  Clock::time_point begin = Clock::now();
  int64_t prompt_tokens = 0, generated = 0;
};
thread_local Note note;

/// Of the names of fields, which come from the network, what a header and a log can hold.
std::string warning_of(const std::vector<std::string>& unknown) {
  constexpr size_t kLongest = 400;
  std::string names;
  for (const std::string& name : unknown) names += (names.empty() ? "" : ", ") + name;
  std::ranges::replace_if(
      names, [](char c) { return c < ' ' || c > '~'; }, '?');
  if (names.size() > kLongest) names = names.substr(0, kLongest) + " ...";
  return "unknown fields, ignored: " + names;
}

/// What it is depends on nothing that could be guessed.
std::string random_id(const char* prefix) {
  static const uint64_t first = [] {
    std::random_device device;
    return (uint64_t{device()} << 32) | device();
  }();
  static std::atomic<uint64_t> count = 0;
  return fmt::format("{}-{:016x}{:06x}", prefix, first, count++);
}

void set_error(Response& response, const RequestError& error) {
  response.status = error.status();
  if (error.status() == kTooMany || error.status() == kUnavailable) {
    response.set_header("Retry-After", "1");
  }
  response.set_content(dump(error_json(error)), kJson);
}

/// Runs a handler; what it throws becomes the reply.
template <class Handler>
auto guarded(Handler handler) {
  return [handler](const Request& request, Response& response) {
    try {
      handler(request, response);
    } catch (const RequestError& error) {
      set_error(response, error);
    } catch (const std::bad_alloc&) {
      set_error(response, RequestError(kUnavailable, "the server is out of memory"));
    } catch (const std::exception& error) {
      set_error(response, RequestError(kInternal, error.what()));
    }
  };
}

/// The errors of httplib itself have no text.
RequestError described(int status, const Request& request) {
  switch (status) {
    case kNotFound: {
      const Route* route = route_of(request.path);
      if (route == nullptr) return {kNotFound, "there is nothing at this address"};
      return {kNotAllowed, fmt::format("{} takes {} only", route->path, route->method)};
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

/// A reply that is sent while it comes into being.
struct Stream {
  Engine::Ticket ticket;
  Reply reply;
  bool opened = false;

  /// Writes what there is to write; false if the client is gone.
  bool write(httplib::DataSink& sink) {
    const auto send = [&](const std::string& text) {
      return text.empty() || sink.write(text.data(), text.size());
    };
    if (!std::exchange(opened, true) && !send(reply.opening())) return false;
    std::optional<Event> event = ticket.wait(kPatience);
    if (!event) return sink.is_writable();
    std::string text;
    try {
      check_cut(*event);
      reply.add(*event);
      text = reply.chunk(*event);
      if (ticket.done()) text += reply.closing();
    } catch (const RequestError& error) {
      send(sse(error_json(error)));
      sink.done();
      return true;
    }
    if (!send(text)) return false;
    note.generated = reply.generated();
    if (ticket.done()) sink.done();
    return true;
  }
};

class Server::Http : public httplib::Server {
 public:
  Http(Engine& engine, const Service& service, Metrics& metrics, const ServerOptions& options)
      : engine_(engine), service_(service), metrics_(metrics), options_(options) {
    new_task_queue = [this] {
      return new Pool(static_cast<size_t>(options_.connections), connections_);
    };
    set_payload_max_length(kBodyBytes);
    set_tcp_nodelay(true);
    // Not the library's default, with which a second server could share the port unnoticed.
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    set_pre_routing_handler(
        [this](const Request& request, Response& response) { return before(request, response); });
    set_error_handler([](const Request& request, Response& response) {
      if (response.body.empty()) set_error(response, described(response.status, request));
    });
    set_logger(
        [this](const Request& request, const Response& response) { after(request, response); });
    add_routes();
  }

  int start() {
    const int port = options_.port == 0 ? bind_to_any_port(options_.host) : options_.port;
    const bool bound = options_.port == 0 ? port > 0 : bind_to_port(options_.host, options_.port);
    if (!bound) {
      fail("cannot listen on {} port {}: choose another --host or --port, or 0 for any free port",
           options_.host, options_.port);
    }
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
    note = Note();
    const bool open = options_.api_key.empty() || request.path == "/health";
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
    const std::chrono::duration<double, std::milli> taken = Clock::now() - note.begin;
    std::string tokens;
    if (note.prompt_tokens > 0) {
      tokens = fmt::format(", {} tokens after {}", note.generated, note.prompt_tokens);
    }
    log_info("{} {}, {:.0f} ms{}", path, response.status, taken.count(), tokens);
    note = Note();
  }

  void add_routes() {
    const auto generation = [this](const char* path, Endpoint endpoint) {
      Post(path, guarded([this, endpoint](const Request& request, Response& response) {
             generate(endpoint, request, response);
           }));
    };
    generation("/v1/completions", Endpoint::kCompletion);
    generation("/v1/chat/completions", Endpoint::kChat);
    generation("/v1/infill", Endpoint::kInfill);
    Get("/v1/models", guarded([this](const Request&, Response& response) { models(response); }));
    Post("/tokenize", guarded([this](const Request& request, Response& response) {
           tokenize(request, response);
         }));
    Post("/detokenize", guarded([this](const Request& request, Response& response) {
           const std::vector<int32_t> tokens = parse_detokenize(request.body);
           service_.check_tokens(tokens, "tokens");
           response.set_content(dump({{"content", service_.tokenizer().decode(tokens)}}), kJson);
         }));
    Get("/health", guarded([this](const Request&, Response& response) {
          if (engine_.draining()) throw RequestError(kUnavailable, "shutting down");
          response.set_content(dump({{"status", "ok"}}), kJson);
        }));
    Get("/metrics", guarded([this](const Request&, Response& response) {
          response.set_content(metrics_.text(), "text/plain; version=0.0.4");
        }));
  }

  void models(Response& response) const {
    const Json model = {
        {"id", service_.name()}, {"object", "model"}, {"created", 0}, {"owned_by", "evo"}};
    response.set_content(dump({{"object", "list"}, {"data", Json::array({model})}}), kJson);
  }

  void tokenize(const Request& request, Response& response) const {
    const TokenizeRequest asked = parse_tokenize(request.body);
    const std::vector<int32_t> tokens =
        service_.tokenizer().encode(asked.text, {.special = asked.special, .framed = asked.framed});
    response.set_content(dump({{"tokens", tokens}}), kJson);
  }

  void generate(Endpoint endpoint, const Request& request, Response& response) {
    const GenerationRequest asked = parse_generation(endpoint, request.body);
    Order order = service_.order(asked);
    note.prompt_tokens = order.prompt_tokens;
    if (!asked.unknown.empty()) {
      response.set_header("X-Evo-Warning", warning_of(asked.unknown));
      log_info("{}", warning_of(asked.unknown));
    }
    const ReplyOptions options{.endpoint = endpoint,
                               .id = random_id(endpoint == Endpoint::kChat ? "chatcmpl" : "cmpl"),
                               .model = service_.name(),
                               .created = static_cast<int64_t>(std::time(nullptr)),
                               .texts = order.jobs.size(),
                               .prompt_tokens = order.prompt_tokens,
                               .logprobs = asked.logprobs >= 0,
                               .include_usage = asked.include_usage};
    Reply reply(options, service_.tokenizer(), std::move(order.tracers));
    Engine::Ticket ticket = engine_.submit(std::move(order.jobs), asked.stream);
    if (asked.stream) {
      stream(std::move(ticket), std::move(reply), response);
    } else {
      answer(ticket, reply, response);
    }
  }

  static void answer(Engine::Ticket& ticket, Reply& reply, Response& response) {
    while (!ticket.done()) {
      const std::optional<Event> event = ticket.wait(kPatience);
      if (!event) {
        if (!Connection::current()->is_alive()) {
          throw RequestError(kClientLeft, "the client has left");
        }
        continue;
      }
      check_cut(*event);
      reply.add(*event);
    }
    note.generated = reply.generated();
    response.set_content(reply.body(), kJson);
  }

  static void stream(Engine::Ticket ticket, Reply reply, Response& response) {
    const auto state = std::make_shared<Stream>(Stream{std::move(ticket), std::move(reply), false});
    response.set_header("Cache-Control", "no-cache");
    response.set_chunked_content_provider(
        "text/event-stream",
        [state](size_t, httplib::DataSink& sink) { return state->write(sink); });
  }

  Engine& engine_;
  const Service& service_;
  Metrics& metrics_;
  ServerOptions options_;
  std::atomic<int64_t> connections_ = 0;
  std::thread listener_;
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
