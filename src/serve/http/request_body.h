// The body of an HTTP/1 request, taken out of the bytes of a connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "serve/http/request_head.h"

namespace evo::serve {

class BodyReader {
 public:
  /// Throws RequestError (413) for a body that is named longer than `most` bytes.
  BodyReader(const RequestHead& head, size_t most);

  /// Takes from the beginning of `bytes` what is the body's; returns how many. Throws RequestError:
  /// 400 for chunks that are not valid, 413 for too many bytes.
  size_t take(std::string_view bytes);
  [[nodiscard]] bool done() const { return next_ == Next::kNothing; }
  [[nodiscard]] const std::string& body() const { return body_; }  ///< so far

 private:
  enum class Next { kData, kChunkSize, kChunkData, kChunkEnd, kTrailer, kNothing };

  size_t take_data(std::string_view bytes);
  size_t take_line(std::string_view bytes);
  void end_line();
  void begin_chunk();

  size_t most_;
  Next next_;
  uint64_t left_ = 0;     // bytes of the body, or of its chunk
  uint64_t framing_ = 0;  // bytes of chunks that are no data
  std::string line_, body_;
};

}  // namespace evo::serve
