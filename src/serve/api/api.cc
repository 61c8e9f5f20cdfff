#include "serve/api/api.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <random>

#include "base/log.h"
#include "serve/api/handler.h"
#include "serve/api/reply.h"
#include "serve/http/connection.h"

namespace evo::serve {
namespace {

using httplib::Request;
using httplib::Response;

constexpr auto kPatience = std::chrono::milliseconds(100);  // between looks at the client

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

/// Of a request's texts, what their client may know to be cached: what it has asked for itself.
class OwnShare {
 public:
  OwnShare(OwnTexts& texts, std::span<const Job> jobs) : texts_(texts) {
    for (const Job& job : jobs) {
      prompts_.push_back(job.prompt.tokens);
      known_.push_back(texts.known(job.prompt.tokens));
    }
  }

  void settle(Event& event) {
    if (!event.end) return;
    event.end->known = std::min(event.end->known, known_.at(event.text));
    std::vector<int32_t> text = std::move(prompts_.at(event.text));
    text.insert(text.end(), event.end->tokens.begin(), event.end->tokens.end());
    texts_.add(std::move(text));
  }

 private:
  OwnTexts& texts_;
  std::vector<std::vector<int32_t>> prompts_;  // of every text
  std::vector<int64_t> known_;
};

/// A reply that is sent while it comes into being.
struct Streamed {
  Engine::Ticket ticket;
  Reply reply;
  OwnShare own;
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
      own.settle(*event);
      reply.add(*event);
      text = reply.chunk(*event);
      if (ticket.done()) text += reply.closing();
    } catch (const RequestError& error) {
      send(sse(error_json(error)));
      sink.done();
      return true;
    }
    if (!send(text)) return false;
    note().generated = reply.generated();
    if (ticket.done()) sink.done();
    return true;
  }
};

void answer(Engine::Ticket& ticket, Reply& reply, OwnShare& own, Response& response) {
  while (!ticket.done()) {
    std::optional<Event> event = ticket.wait(kPatience);
    if (!event) {
      if (!Connection::current()->is_alive()) {
        throw RequestError(kClientLeft, "the client has left");
      }
      continue;
    }
    check_cut(*event);
    own.settle(*event);
    reply.add(*event);
  }
  note().generated = reply.generated();
  response.set_content(reply.body(), kJson);
}

void stream(Engine::Ticket ticket, Reply reply, OwnShare own, Response& response) {
  const auto state = std::make_shared<Streamed>(
      Streamed{std::move(ticket), std::move(reply), std::move(own), false});
  response.set_header("Cache-Control", "no-cache");
  response.set_chunked_content_provider(
      "text/event-stream", [state](size_t, httplib::DataSink& sink) { return state->write(sink); });
}

}  // namespace

void Api::add_routes(httplib::Server& server) {
  add_generation(server, "/v1/completions", Endpoint::kCompletion);
  add_generation(server, "/v1/chat/completions", Endpoint::kChat);
  add_generation(server, "/v1/infill", Endpoint::kInfill);
  server.Get("/v1/models", guarded([this](const Request&, Response& out) { models(out); }));
  server.Post("/tokenize",
              guarded([this](const Request& in, Response& out) { tokenize(in, out); }));
  server.Post("/detokenize",
              guarded([this](const Request& in, Response& out) { detokenize(in, out); }));
  server.Get("/health", guarded([this](const Request&, Response& out) { health(out); }));
  server.Get("/metrics", guarded([this](const Request&, Response& out) {
               out.set_content(metrics_.text(), "text/plain; version=0.0.4");
             }));
}

void Api::add_generation(httplib::Server& server, const char* path, Endpoint endpoint) {
  server.Post(path, guarded([this, endpoint](const Request& in, Response& out) {
                generate(endpoint, in, out);
              }));
}

void Api::generate(Endpoint endpoint, const Request& request, Response& response) {
  const GenerationRequest asked = parse_generation(endpoint, request.body, service_.defaults());
  Order order = service_.order(asked);
  note().prompt_tokens = order.prompt_tokens;
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
  OwnShare own(shared_texts_ != nullptr ? *shared_texts_ : Connection::current()->texts(),
               order.jobs);
  Engine::Ticket ticket = engine_.submit(std::move(order.jobs), asked.stream);
  if (asked.stream) {
    stream(std::move(ticket), std::move(reply), std::move(own), response);
  } else {
    answer(ticket, reply, own, response);
  }
}

void Api::models(Response& response) const {
  Json model = {{"id", service_.name()}, {"object", "model"}, {"created", 0}, {"owned_by", "evo"}};
  // What requests are sampled with that do not say it: pages show it.
  const decode::GenerationDefaults& defaults = service_.defaults();
  if (!defaults.empty()) model["sampling"] = Json::parse(defaults.record().dump());
  response.set_content(dump({{"object", "list"}, {"data", Json::array({model})}}), kJson);
}

void Api::tokenize(const Request& request, Response& response) const {
  const TokenizeRequest asked = parse_tokenize(request.body);
  const std::vector<int32_t> tokens =
      service_.tokenizer().encode(asked.text, {.special = asked.special, .framed = asked.framed});
  response.set_content(dump({{"tokens", tokens}}), kJson);
}

void Api::detokenize(const Request& request, Response& response) const {
  const std::vector<int32_t> tokens = parse_detokenize(request.body);
  service_.check_tokens(tokens, "tokens");
  response.set_content(dump({{"content", service_.tokenizer().decode(tokens)}}), kJson);
}

void Api::health(Response& response) const {
  if (engine_.draining()) throw RequestError(kUnavailable, "shutting down");
  response.set_content(dump({{"status", "ok"}}), kJson);
}

}  // namespace evo::serve
