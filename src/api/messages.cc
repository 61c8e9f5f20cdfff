#include <evo/messages.hpp>
#include <utility>

#include "base/log.h"

namespace evo::api {

std::string_view version() {
  return EVO_VERSION;
}

void set_message_sink(std::function<void(std::string_view message)> sink) {
  set_log_sink(std::move(sink));
}

}  // namespace evo::api
