#include "serve/http/incoming_request.h"

#include <algorithm>

namespace evo::serve {
namespace {

constexpr size_t kLongestHead = size_t{32} << 10;
constexpr std::string_view kHeadEnd = "\r\n\r\n";

}  // namespace

size_t IncomingRequest::take(std::string_view bytes, const Gate& gate) {
  size_t taken = 0;
  try {
    if (!body_) taken = take_head(bytes, gate);
    if (body_ && !complete()) taken += body_->take(bytes.substr(taken));
  } catch (const RequestError& error) {
    refusal_ = error;
    return bytes.size();
  }
  return taken;
}

size_t IncomingRequest::take_head(std::string_view bytes, const Gate& gate) {
  const size_t before = text_.size();
  const size_t from = before - std::min(before, kHeadEnd.size() - 1);
  text_ += bytes.substr(0, kLongestHead + 1 - std::min(before, kLongestHead));
  // Old clients send an empty line behind a body, which then precedes the next head.
  const size_t begin = text_.starts_with("\r\n") ? 2 : 0;
  const size_t found = text_.find(kHeadEnd, from);
  // A line that ends otherwise is known now, and must not wait for what never comes.
  const size_t seen = std::min(found, text_.size());
  for (size_t i = from; i < seen; ++i) {
    const bool bare = text_[i] == '\n' && (i == 0 || text_[i - 1] != '\r');
    if (bare || text_[i] == '\0') {
      throw RequestError(kBadRequest, "the request is not valid HTTP: lines end with CR and LF", "",
                         "invalid_http");
    }
  }
  if (found == std::string::npos) {
    if (text_.size() > kLongestHead) {
      throw RequestError(
          kFieldsTooLarge,
          fmt::format("the fields of a request have at most {} bytes in all", kLongestHead));
    }
    return bytes.size();
  }
  const size_t end = found + kHeadEnd.size();
  head_ = parse_head(std::string_view(text_).substr(begin, end - begin));
  text_.clear();
  gate(head_);
  body_.emplace(head_, most_body_);
  return end - before;
}

void IncomingRequest::refuse(const RequestError& reason) {
  refusal_ = reason;
}

bool IncomingRequest::take_expectation() {
  return body_ && !complete() && std::exchange(head_.expects_continue, false);
}

bool IncomingRequest::is_large() const {
  constexpr size_t kLarge = size_t{64} << 10;
  return body_ && body_->body().capacity() > kLarge;
}

std::string IncomingRequest::plain() const {
  const bool has_head = !head_.method.empty();
  const std::string_view body = body_ && !refusal_ ? std::string_view(body_->body()) : "";
  return fmt::format("{} {} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{}",
                     has_head ? head_.method : "GET", has_head ? head_.target : "*", body.size(),
                     body);
}

}  // namespace evo::serve
