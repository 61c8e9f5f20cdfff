#include "serve/http/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace evo::serve {
namespace {

thread_local Connection* current_connection = nullptr;

constexpr auto kLinger = std::chrono::milliseconds(500);  // for a client's next bytes
constexpr auto kLongestLinger = std::chrono::milliseconds(1500);

bool would_wait(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

}  // namespace

Connection::Connection(int socket, const ConnectionLimits& limits)
    : socket_(socket),
      limits_(limits),
      request_(limits.body_bytes),
      since_(Clock::now()),
      last_bytes_(since_) {}

Connection::~Connection() {
  ::close(socket_);
}

Connection* Connection::current() {
  return current_connection;
}

Connection::Handling::Handling(Connection& connection) {
  current_connection = &connection;
  connection.plain_ = connection.request_.plain();
  connection.read_ = 0;
}

Connection::Handling::~Handling() {
  current_connection->plain_ = {};
  current_connection = nullptr;
}

bool Connection::receive(const IncomingRequest::Gate& gate) {
  std::array<char, size_t{16} << 10> buffer;
  const ssize_t got = recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got <= 0) return got < 0 && would_wait(errno);
  last_bytes_ = Clock::now();
  if (closing_) return true;
  if (is_idle()) since_ = last_bytes_;
  pending_.append(buffer.data(), static_cast<size_t>(got));
  take_in(gate);
  return true;
}

void Connection::take_in(const IncomingRequest::Gate& gate) {
  pending_.erase(0, request_.take(pending_, gate));
  if (request_.take_expectation()) {
    constexpr std::string_view kGoOn = "HTTP/1.1 100 Continue\r\n\r\n";
    (void)send(socket_, kGoOn.data(), kGoOn.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

void Connection::begin_request(const IncomingRequest::Gate& gate) {
  request_ = IncomingRequest(limits_.body_bytes);
  since_ = last_bytes_ = Clock::now();
  if (!pending_.empty()) take_in(gate);
}

Connection::Clock::time_point Connection::deadline() const {
  if (closing_) return std::min(since_ + kLongestLinger, last_bytes_ + kLinger);
  if (is_idle()) return since_ + limits_.idle;
  return std::min(since_ + limits_.request, last_bytes_ + limits_.read);
}

void Connection::begin_closing() {
  closing_ = true;
  pending_ = {};
  request_ = IncomingRequest(limits_.body_bytes);
  since_ = last_bytes_ = Clock::now();
  ::shutdown(socket_, SHUT_WR);
}

void Connection::cut() {
  ::shutdown(socket_, SHUT_RDWR);
}

bool Connection::is_alive() const {
  char byte = 0;
  const ssize_t got = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got > 0 || (got < 0 && would_wait(errno));
}

bool Connection::is_writable() const {
  if (!is_alive()) return false;
  pollfd descriptor{socket_, POLLOUT, 0};
  int ready = 0;
  do {
    ready = poll(&descriptor, 1, static_cast<int>(limits_.write.count()));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

ssize_t Connection::read(char* to, size_t size) {
  const size_t count = std::min(size, plain_.size() - read_);
  std::memcpy(to, plain_.data() + read_, count);
  read_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* from, size_t size) {
  if (!is_writable()) return -1;
  return send(socket_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// Nothing that is answered or logged depends on who asks.
void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  get_remote_ip_and_port(ip, port);
}

}  // namespace evo::serve
