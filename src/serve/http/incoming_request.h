// A request while it arrives, and what httplib is given of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "serve/api/request_error.h"
#include "serve/http/request_body.h"
#include "serve/http/request_head.h"

namespace evo::serve {

class IncomingRequest {
 public:
  /// Looks at a head before the body is read; throws RequestError for what is refused.
  using Gate = std::function<void(const RequestHead&)>;

  explicit IncomingRequest(size_t most_body) : most_body_(most_body) {}

  /// Takes from the beginning of `bytes` what is the request's; returns how many. Never throws
  /// RequestError: a request that is refused is complete, and no later byte is its own.
  size_t take(std::string_view bytes, const Gate& gate);
  void refuse(const RequestError& reason);

  [[nodiscard]] bool begun() const { return body_ || refusal_ || !text_.empty(); }
  [[nodiscard]] bool complete() const { return refusal_ || (body_ && body_->done()); }
  /// True once, if the client waits until it is told to send the body.
  [[nodiscard]] bool take_expectation();
  /// It takes memory that the process should give back, not keep for the next such request.
  [[nodiscard]] bool is_large() const;
  /// What comes after the request on its connection is another one.
  [[nodiscard]] bool keeps_alive() const { return !refusal_ && head_.keep_alive; }

  [[nodiscard]] const RequestHead& head() const { return head_; }  ///< empty if it was not valid
  [[nodiscard]] const std::optional<RequestError>& refusal() const { return refusal_; }

  /// The request as text, with a head that says nothing but method, path and length: nobody who
  /// reads it can find another framing, an encoding, a range or a form in it. Without the body if
  /// the request is refused.
  [[nodiscard]] std::string plain() const;

 private:
  size_t take_head(std::string_view bytes, const Gate& gate);

  size_t most_body_;
  std::string text_;  // of the head
  RequestHead head_;
  std::optional<BodyReader> body_;  // when the head is complete
  std::optional<RequestError> refusal_;
};

}  // namespace evo::serve
