#include "serve/http/reception.h"

#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "base/error.h"
#include "serve/api/handler.h"
#include "serve/api/reply.h"

namespace evo::serve {
namespace {

using Clock = Connection::Clock;

/// A request that has been arriving for so long gives way to a newcomer.
constexpr auto kSlow = std::chrono::seconds(1);
/// When the server ends: for clients to take what was written for them.
constexpr auto kLastWrites = std::chrono::seconds(2);

/// The lower, the sooner a connection gives way; nothing: it does not.
std::optional<int> dispensability(const Connection& connection, Clock::time_point now) {
  if (connection.is_closing()) return 0;
  if (connection.is_idle()) return 1;
  if (now - connection.since() >= kSlow) return 2;
  return std::nullopt;
}

/// After a large request, whose like may follow.
constexpr auto kTrim = std::chrono::seconds(1);

/// For a newcomer without a request.
void tell_full(Connection& connection) {
  const std::string body =
      dump(error_json({kUnavailable, "too many connections: try again later"}));
  const std::string text = fmt::format(
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: {}\r\n"
      "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
      kJson, body.size(), body);
  (void)connection.write(text.data(), text.size());
  connection.begin_closing();
}

}  // namespace

Reception::Reception(size_t most, const ConnectionLimits& limits, IncomingRequest::Gate gate,
                     Serve serve)
    : most_(most),
      limits_(limits),
      gate_(std::move(gate)),
      serve_(std::move(serve)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      pool_(most) {
  if (wake_ < 0) fail("the system has no more file descriptors: raise the limit (ulimit -n)");
  thread_ = std::thread([this] { run(); });
}

Reception::~Reception() {
  end();
  ::close(wake_);
}

void Reception::add(int socket) {
  auto connection = std::make_unique<Connection>(socket, limits_);
  {
    const std::scoped_lock lock(mutex_);
    newcomers_.push_back(std::move(connection));
  }
  wake();
}

void Reception::end() {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    ending_ = true;
    wake();
    const auto none = [this] { return handled_.empty(); };
    if (!handled_fewer_.wait_for(lock, kLastWrites, none)) {
      for (Connection* connection : handled_) connection->cut();
    }
  }
  pool_.shutdown();
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  wake();
  thread_.join();
}

void Reception::run() {
  while (take_arrivals()) {
    const std::vector<bool> readable = wait_for_bytes();
    std::list<Owned> waited = std::move(waiting_);
    waiting_.clear();
    size_t i = 0;
    for (Owned& connection : waited) look_after(std::move(connection), readable[i++]);
    give_back_memory();
  }
}

/// False if nothing is left to be done, and never will be.
bool Reception::take_arrivals() {
  std::vector<Owned> newcomers, returned;
  bool ending = false, ended = false;
  {
    const std::scoped_lock lock(mutex_);
    newcomers.swap(newcomers_);
    returned.swap(returned_);
    if (std::exchange(large_, false)) trim_at_ = Clock::now() + kTrim;
    ending = ending_;
    ended = ended_;
  }
  for (Owned& connection : returned) {
    if (ending && !connection->is_closing()) connection->begin_closing();
    if (!connection->is_closing()) connection->begin_request(gate_);
    await_or_dispatch(std::move(connection));
  }
  if (ending) {
    std::erase_if(waiting_, [](const Owned& connection) { return !connection->is_closing(); });
  } else {
    for (Owned& connection : newcomers) admit(std::move(connection));
  }
  return !ended || !waiting_.empty();
}

void Reception::admit(Owned connection) {
  if (!make_room()) tell_full(*connection);
  waiting_.push_back(std::move(connection));
}

/// Whether one more connection can be open; others may have given way to it.
bool Reception::make_room() {
  const auto now = Clock::now();
  size_t handled = 0;
  {
    const std::scoped_lock lock(mutex_);
    handled = handled_.size() + returned_.size();
  }
  while (waiting_.size() + handled >= most_) {
    auto chosen = waiting_.end();
    std::pair<int, Clock::time_point> least;
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      const std::optional<int> rank = dispensability(**it, now);
      if (!rank) continue;
      const std::pair own(*rank, (*it)->since());
      if (chosen != waiting_.end() && own >= least) continue;
      chosen = it;
      least = own;
    }
    if (chosen == waiting_.end()) return false;
    drop(std::move(*chosen));
    waiting_.erase(chosen);
  }
  return true;
}

/// Takes in what has arrived, and ends what has taken too long.
void Reception::look_after(Owned connection, bool readable) {
  try {
    if (readable && !connection->receive(gate_)) return drop(std::move(connection));
    if (!connection->has_request() && Clock::now() >= connection->deadline()) {
      if (connection->is_closing() || connection->is_idle()) return drop(std::move(connection));
      connection->request().refuse({kTooSlow, "the request took too long to arrive"});
    }
    await_or_dispatch(std::move(connection));
  } catch (const std::exception&) {
    // There is no memory for what this client sends: the others go on.
  }
}

void Reception::await_or_dispatch(Owned connection) {
  if (!connection->has_request()) {
    waiting_.push_back(std::move(connection));
    return;
  }
  Connection* const raw = connection.get();
  {
    const std::scoped_lock lock(mutex_);
    if (ending_) return;
    handled_.push_back(raw);
  }
  // The pool's tasks can be copied, and so own nothing.
  (void)connection.release();
  pool_.enqueue([this, raw] { handle(Owned(raw)); });
}

void Reception::handle(Owned connection) {
  bool open = false;
  const bool large = connection->request().is_large();
  try {
    const Connection::Handling handling(*connection);
    open = serve_(*connection) && connection->request().keeps_alive();
  } catch (const std::exception&) {
    // There is no memory for a reply: this connection ends, the others go on.
  }
  if (!open) connection->begin_closing();
  {
    const std::scoped_lock lock(mutex_);
    std::erase(handled_, connection.get());
    returned_.push_back(std::move(connection));
    large_ = large_ || large;
    handled_fewer_.notify_all();
  }
  wake();
}

void Reception::drop(Owned connection) {
  if (connection->request().is_large()) trim_at_ = Clock::now() + kTrim;
}

/// The allocator keeps what large requests took, in every thread's share of the heap.
void Reception::give_back_memory() {
  if (Clock::now() < trim_at_) return;
  trim_at_ = Clock::time_point::max();
  malloc_trim(0);
}

/// Of every waiting connection, in order, whether it has something to be read.
std::vector<bool> Reception::wait_for_bytes() const {
  std::vector<pollfd> descriptors{{wake_, POLLIN, 0}};
  for (const Owned& connection : waiting_) {
    descriptors.push_back({connection->descriptor(), POLLIN, 0});
  }
  (void)poll(descriptors.data(), descriptors.size(), patience());
  uint64_t wakes = 0;
  (void)!::read(wake_, &wakes, sizeof(wakes));
  std::vector<bool> readable;
  for (size_t i = 1; i < descriptors.size(); ++i) readable.push_back(descriptors[i].revents != 0);
  return readable;
}

/// Milliseconds until the first deadline; -1: there is none.
int Reception::patience() const {
  auto first = trim_at_;
  for (const Owned& connection : waiting_) first = std::min(first, connection->deadline());
  if (first == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(first - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

void Reception::wake() const {
  const uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof(one));
}

}  // namespace evo::serve
