// GET over HTTP: with redirects, a token for one host alone, and a way to stop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "hub/remote/url.h"

namespace evo::hub {

/// Who asks, and who is trusted.
struct Caller {
  std::string agent = {};         ///< "evo/0.1.0"
  std::string token = {};         ///< for `token_for`; empty: none
  Url token_for = {};             ///< the hub: no other origin is sent the token
  std::string certificates = {};  ///< file with the authorities to trust; empty: the system's
};

struct Reply {
  int64_t status = 0;
  std::map<std::string, std::string> headers = {};  ///< names in lower case
  Url url = {};                                     ///< who answered, behind all redirects

  [[nodiscard]] bool good() const { return status >= 200 && status < 300; }
  [[nodiscard]] std::string header(const std::string& name) const;  ///< or empty
};

/// Whole replies did not come for now: the network's fault, or a server that says "later".
class TransferError : public Error {
 public:
  explicit TransferError(const std::string& message, int64_t wait_seconds = 0)
      : Error(message), wait_seconds_(wait_seconds) {}
  /// How long the server asked to wait; 0: it did not.
  [[nodiscard]] int64_t wait_seconds() const { return wait_seconds_; }

 private:
  int64_t wait_seconds_;
};

/// The server has answered that it will not: asking again does not help.
class RefusedError : public Error {
 public:
  explicit RefusedError(Reply reply);  ///< its address, status and reason are the message
  [[nodiscard]] const Reply& reply() const { return reply_; }

 private:
  Reply reply_;
};

/// What to ask for. What the functions throw ends the transfer and comes out of get().
struct Get {
  Url url = {};
  int64_t from = 0;  ///< first byte that is wanted; a server may send all of them nevertheless
  std::function<void(const Reply& reply)> on_head = {};      ///< of a good reply, before its body
  std::function<void(std::string_view bytes)> on_body = {};  ///< pieces of a good reply's body
};

/// Keeps connections open from one request to the next. For one thread.
class HttpClient {
 public:
  explicit HttpClient(Caller caller);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Redirects are followed, though not from https to http. Throws TransferError if the reply broke
  /// off or says "later" (408, 429, 5xx), RefusedError for any other that is not good, Interrupted
  /// when the watcher wants an end, and Error if asking again cannot help: no such host, nobody
  /// there, a certificate that is not trusted.
  Reply get(const Get& get);

 private:
  class Transfer;
  Caller caller_;
  std::unique_ptr<void, void (*)(void*)> handle_;
  bool answered_ = false;  // somebody: it can be reached, though maybe not at this moment
};

}  // namespace evo::hub
