// What a client's connection may cost.
#pragma once

#include <chrono>
#include <cstddef>

namespace evo::serve {

struct ConnectionLimits {
  std::chrono::milliseconds read{5000};       ///< for the next bytes
  std::chrono::milliseconds write{10'000};    ///< until the client takes some
  std::chrono::milliseconds request{30'000};  ///< for a whole request to arrive
  std::chrono::milliseconds idle{5000};       ///< between requests
  size_t body_bytes = size_t{1} << 20;
};

}  // namespace evo::serve
