// A request that is refused, or that fails: what its client is told.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace evo::serve {

inline constexpr int kBadRequest = 400, kUnauthorized = 401, kForbidden = 403, kNotFound = 404,
                     kNotAllowed = 405, kTooSlow = 408, kTooLarge = 413, kPathTooLong = 414,
                     kUnsupportedEncoding = 415, kExpectationFailed = 417, kTooMany = 429,
                     kFieldsTooLarge = 431, kClientLeft = 499, kInternal = 500,
                     kNotImplemented = 501, kUnavailable = 503, kTimeout = 504,
                     kVersionUnsupported = 505;

class RequestError : public Error {
 public:
  /// `status` of HTTP; `param`: the field that is at fault, if one is; `code`: a name for programs.
  RequestError(int status, const std::string& message, std::string param = "",
               std::string code = "")
      : Error(message), status_(status), param_(std::move(param)), code_(std::move(code)) {}

  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::string& param() const { return param_; }
  [[nodiscard]] const std::string& code() const { return code_; }

 private:
  int status_;
  std::string param_, code_;
};

}  // namespace evo::serve
