// The HTTP side: routes, limits, logs. A thread handles one request at a time, and talks to the
// engine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "serve/engine.h"
#include "serve/http/access.h"
#include "serve/http/connection_limits.h"
#include "serve/metrics.h"
#include "serve/service.h"

namespace evo::serve {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  ///< 0: any that is free
  AccessOptions access;
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
  /// No more requests. The engine must have ended those that there are: clients have two seconds to
  /// take what was written for them.
  void stop();

 private:
  class Http;
  std::unique_ptr<Http> http_;
};

}  // namespace evo::serve
