// Errors. Two kinds, two mechanisms:
//  - a fault of the user or of a file is an exception of type Error, whose message says what was
//    expected, what was found and what to do next (name the file, the tensor, the line, the flag);
//  - a fault of the programmer is an EVO_CHECK, which aborts with file and line.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace evo {

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// Wrong usage of the command line: the program exits with 2 instead of 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Throws Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// "No such file or directory" and its like for an errno value.
std::string errno_message(int error_number);

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace evo

/// Always on, in release builds too; for conditions that no input can make false.
#define EVO_CHECK(condition) \
  ((condition) ? (void)0 : ::evo::check_failed(#condition, __FILE__, __LINE__))
