#include "serve/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace evo {
namespace {

thread_local Connection* current_connection = nullptr;

constexpr auto kSlice = std::chrono::milliseconds(100);  // between looks at `stopped`
constexpr auto kLinger = std::chrono::milliseconds(500);
constexpr int kLingerReads = 1024;

bool wait_for(int socket, short events, std::chrono::milliseconds patience) {
  pollfd descriptor{socket, events, 0};
  int ready = 0;
  do {
    ready = poll(&descriptor, 1, static_cast<int>(std::max<int64_t>(0, patience.count())));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

}  // namespace

Connection::Connection(int socket, const ConnectionLimits& limits)
    : socket_(socket), limits_(limits) {
  current_connection = this;
}

Connection::~Connection() {
  current_connection = nullptr;
}

Connection* Connection::current() {
  return current_connection;
}

bool Connection::await_request(const std::function<bool()>& stopped) {
  bytes_left_ = limits_.request_bytes;
  const auto idle_end = Clock::now() + limits_.idle;
  bool begins = begin_ < end_;
  while (!begins && !stopped() && Clock::now() < idle_end) {
    begins = wait_for(socket_, POLLIN, kSlice);
  }
  request_end_ = Clock::now() + limits_.request;
  return begins && (begin_ < end_ || is_alive());
}

bool Connection::is_alive() const {
  char byte = 0;
  const ssize_t got = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

void Connection::close_gently() {
  // Closing with unread bytes resets the connection, and the client may lose the reply.
  ::shutdown(socket_, SHUT_WR);
  for (int i = 0; i < kLingerReads && wait_for(socket_, POLLIN, kLinger); ++i) {
    if (recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT) <= 0) break;
  }
  ::shutdown(socket_, SHUT_RDWR);
}

bool Connection::is_readable() const {
  return begin_ < end_ || wait_for(socket_, POLLIN, limits_.read);
}

bool Connection::is_writable() const {
  return is_alive() && wait_for(socket_, POLLOUT, limits_.write);
}

ssize_t Connection::read(char* to, size_t size) {
  if (begin_ == end_) {
    spent_ = spent_ || bytes_left_ <= 0 || Clock::now() >= request_end_;
    if (spent_) return -1;
    if (!is_readable()) {
      spent_ = true;
      return -1;
    }
    const auto most = std::min(buffer_.size(), static_cast<size_t>(bytes_left_));
    const ssize_t got = recv(socket_, buffer_.data(), most, MSG_DONTWAIT);
    if (got <= 0) return got;
    begin_ = 0;
    end_ = static_cast<size_t>(got);
    bytes_left_ -= got;
  }
  const size_t count = std::min(size, end_ - begin_);
  std::memcpy(to, buffer_.data() + begin_, count);
  begin_ += count;
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

}  // namespace evo
