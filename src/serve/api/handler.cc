#include "serve/api/handler.h"

#include "serve/api/reply.h"

namespace evo::serve {

Note& note() {
  thread_local Note current;
  return current;
}

void set_error(httplib::Response& response, const RequestError& error) {
  response.status = error.status();
  if (error.status() == kTooMany || error.status() == kUnavailable) {
    response.set_header("Retry-After", "1");
  }
  response.set_content(dump(error_json(error)), kJson);
}

}  // namespace evo::serve
