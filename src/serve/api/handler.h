// What all handlers of requests need: errors as replies, and what the log is told.
#pragma once

#include <httplib.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <new>

#include "serve/api/request_error.h"

namespace evo::serve {

inline constexpr const char* kJson = "application/json";

/// What the log says of a request.
struct Note {
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  int64_t prompt_tokens = 0, generated = 0;
};
/// Of the request that this thread handles.
[[nodiscard]] Note& note();

/// In OpenAI's shape.
void set_error(httplib::Response& response, const RequestError& error);

/// Runs a handler; what it throws becomes the reply.
template <class Handler>
auto guarded(Handler handler) {
  return [handler](const httplib::Request& request, httplib::Response& response) {
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

}  // namespace evo::serve
