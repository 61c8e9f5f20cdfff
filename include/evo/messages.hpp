// What the library is, and what it says beside results.
#pragma once

#include <evo/export.hpp>
#include <functional>
#include <string_view>

namespace evo::api {

[[nodiscard]] EVO_API std::string_view version();

/// The library never prints. From now on `sink` gets its remarks and warnings, a line each, from
/// whatever thread has them, one at a time; an empty one ends that.
EVO_API void set_message_sink(std::function<void(std::string_view message)> sink);

}  // namespace evo::api
