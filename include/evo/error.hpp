// What goes wrong: each message says what was expected, what was found and what to do. It names an
// option as the program's help does.
#pragma once

#include <evo/export.hpp>
#include <stdexcept>

namespace evo::api {

/// A fault of a file, of its content or of the machine.
class EVO_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A fault of the call: an option out of its range, or two that contradict each other.
class EVO_API UsageError : public Error {
 public:
  using Error::Error;
};

/// A stop token ended the work before there was a result.
class EVO_API Interrupted : public Error {
 public:
  using Error::Error;
};

}  // namespace evo::api
