// A client's connection, with limits on what it may cost: its reads and writes wait for a bounded
// time, and a request may have so many bytes and take so long to arrive.
#pragma once

#include <httplib.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "serve/connection_limits.h"

namespace evo {

class Connection final : public httplib::Stream {
 public:
  /// `socket` stays the caller's.
  Connection(int socket, const ConnectionLimits& limits);
  ~Connection() override;

  /// The connection whose request this thread handles; null if there is none.
  static Connection* current();

  /// Waits until a request begins; false if none does, or `stopped` becomes true.
  bool await_request(const std::function<bool()>& stopped);
  /// False if the client has closed or reset the connection.
  [[nodiscard]] bool is_alive() const;
  /// The request went beyond the limits: what comes next cannot be told from its rest.
  [[nodiscard]] bool is_spent() const { return spent_; }
  /// Ends the connection in such a way that the client still gets what was written.
  void close_gently();

  [[nodiscard]] bool is_readable() const override;
  [[nodiscard]] bool is_writable() const override;
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  [[nodiscard]] socket_t socket() const override { return socket_; }

 private:
  using Clock = std::chrono::steady_clock;

  int socket_;
  ConnectionLimits limits_;
  std::array<char, 4096> buffer_;
  size_t begin_ = 0, end_ = 0;  // of what was received and not read yet
  int64_t bytes_left_ = 0;
  Clock::time_point request_end_;
  bool spent_ = false;
};

}  // namespace evo
