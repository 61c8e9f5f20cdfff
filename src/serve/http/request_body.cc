#include "serve/http/request_body.h"

#include <algorithm>
#include <charconv>

#include "serve/api/request_error.h"

namespace evo::serve {
namespace {

constexpr size_t kLongestLine = 1024;
constexpr uint64_t kMostFraming = 1 << 16;  // bytes of chunks that are no data

[[noreturn]] void refuse(const char* what) {
  throw RequestError(kBadRequest, fmt::format("the chunks of the body are not valid: {}", what), "",
                     "invalid_http");
}

[[noreturn]] void refuse_size(size_t most) {
  throw RequestError(kTooLarge, fmt::format("a request has at most {} bytes", most));
}

}  // namespace

BodyReader::BodyReader(const RequestHead& head, size_t most)
    : most_(most), left_(head.length.value_or(0)) {
  if (left_ > most_) refuse_size(most_);
  next_ = head.chunked ? Next::kChunkSize : left_ > 0 ? Next::kData : Next::kNothing;
}

size_t BodyReader::take(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !done()) {
    const std::string_view rest = bytes.substr(taken);
    const bool is_data = next_ == Next::kData || next_ == Next::kChunkData;
    taken += is_data ? take_data(rest) : take_line(rest);
  }
  return taken;
}

size_t BodyReader::take_data(std::string_view bytes) {
  const auto count = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
  body_ += bytes.substr(0, count);
  left_ -= count;
  if (left_ == 0) next_ = next_ == Next::kData ? Next::kNothing : Next::kChunkEnd;
  return count;
}

size_t BodyReader::take_line(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char byte = bytes[i];
    if (++framing_ > kMostFraming || line_.size() > kLongestLine) refuse("too many small ones");
    if (byte == '\n') {
      if (!line_.ends_with('\r')) refuse("lines end with CR and LF");
      line_.pop_back();
      end_line();
      return i + 1;
    }
    if (line_.ends_with('\r')) refuse("lines end with CR and LF");
    line_ += byte;
  }
  return bytes.size();
}

void BodyReader::end_line() {
  switch (next_) {
    case Next::kChunkSize:
      begin_chunk();
      break;
    case Next::kChunkEnd:
      if (!line_.empty()) refuse("one is longer than it says");
      next_ = Next::kChunkSize;
      break;
    default:  // what follows the chunks is of no use to anybody here
      if (line_.empty()) {
        next_ = Next::kNothing;
      } else if (!is_token(std::string_view(line_).substr(0, line_.find(':'))) ||
                 line_.find(':') == std::string::npos || !is_field_value(line_)) {
        refuse("expected NAME: VALUE after them");
      }
  }
  line_.clear();
}

void BodyReader::begin_chunk() {
  const std::string_view size = std::string_view(line_).substr(0, line_.find(';'));
  const char* const end = size.data() + size.size();
  const auto [read, error] = std::from_chars(size.data(), end, left_, 16);
  if (size.empty() || error != std::errc() || read != end || !is_field_value(line_)) {
    refuse("the size of one is no hexadecimal number");
  }
  if (left_ > most_ - body_.size()) refuse_size(most_);
  next_ = left_ > 0 ? Next::kChunkData : Next::kTrailer;
}

}  // namespace evo::serve
