// The HTTP side: routes, keys, limits, logs. Every client has a thread, which talks to the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "serve/connection_limits.h"
#include "serve/engine.h"
#include "serve/metrics.h"
#include "serve/service.h"

namespace evo {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;      ///< 0: any that is free
  std::string api_key;  ///< empty: none is asked for
  int connections = 128;
  ConnectionLimits limits;
};

class Server {
 public:
  /// All must outlive the object.
  Server(Engine& engine, const Service& service, Metrics& metrics, const ServerOptions& options);
  ~Server();  ///< stops

  /// Listens from now on; returns the port. Throws Error if that is not possible.
  int start();
  /// No more connections; returns when those that there are have ended. The engine must have ended
  /// its requests before, or go on doing so.
  void stop();

 private:
  class Http;
  std::unique_ptr<Http> http_;
};

/// In a time that depends on the length of `given` only.
[[nodiscard]] bool equal_secret(std::string_view given, std::string_view secret);

}  // namespace evo
