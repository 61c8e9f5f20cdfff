// A client's connection. A request is read without waiting, by the thread that looks after all
// connections (serve/http/reception.h); when it is complete, another thread handles it, and reads
// it through httplib's Stream as plain text that was checked (serve/http/incoming_request.h).
#pragma once

#include <httplib.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "serve/api/own_texts.h"
#include "serve/http/connection_limits.h"
#include "serve/http/incoming_request.h"

namespace evo::serve {

class Connection final : public httplib::Stream {
 public:
  using Clock = std::chrono::steady_clock;

  /// The socket becomes the object's.
  Connection(int socket, const ConnectionLimits& limits);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The connection whose request this thread handles; null if there is none.
  static Connection* current();
  /// Makes it so while the object lives.
  class Handling {
   public:
    explicit Handling(Connection& connection);
    ~Handling();
    Handling(const Handling&) = delete;
    Handling& operator=(const Handling&) = delete;
  };

  /// Waits for nothing: takes what the client has sent. False if it has closed the connection, or
  /// the connection is broken.
  bool receive(const IncomingRequest::Gate& gate);
  /// A request is complete, or refused.
  [[nodiscard]] bool has_request() const { return request_.complete(); }
  [[nodiscard]] IncomingRequest& request() { return request_; }
  /// For the next request, of which bytes may have arrived already.
  void begin_request(const IncomingRequest::Gate& gate);

  /// Nothing of a request has arrived.
  [[nodiscard]] bool is_idle() const { return !closing_ && !request_.begun(); }
  [[nodiscard]] bool is_closing() const { return closing_; }
  /// Since when it waits for a request, or a request arrives, or it is closing.
  [[nodiscard]] Clock::time_point since() const { return since_; }
  /// When its time is over.
  [[nodiscard]] Clock::time_point deadline() const;
  /// Says that nothing more will be written. The client gets what was written only if the rest of
  /// what it sends is read: receive() does that, until the deadline.
  void begin_closing();
  /// Nothing is written or read any more. From any thread.
  void cut();

  /// False if the client has closed or reset the connection.
  [[nodiscard]] bool is_alive() const;
  /// What this client has asked for.
  [[nodiscard]] OwnTexts& texts() { return texts_; }

  [[nodiscard]] bool is_readable() const override { return read_ < plain_.size(); }
  [[nodiscard]] bool is_writable() const override;
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  /// httplib compares it with what select() can take, and uses it for nothing else.
  [[nodiscard]] socket_t socket() const override { return INVALID_SOCKET; }

  [[nodiscard]] int descriptor() const { return socket_; }

 private:
  void take_in(const IncomingRequest::Gate& gate);

  int socket_;
  ConnectionLimits limits_;
  IncomingRequest request_;
  std::string pending_;  // bytes behind the request
  std::string plain_;    // the request, as httplib reads it
  size_t read_ = 0;      // of that
  bool closing_ = false;
  Clock::time_point since_, last_bytes_;
  OwnTexts texts_;
};

}  // namespace evo::serve
