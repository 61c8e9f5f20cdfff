#include "hub/remote/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <utility>

#include "base/ascii.h"
#include "base/process/watcher.h"
#include "base/terminal/text_width.h"

namespace evo::hub {
namespace {

constexpr int kMostRedirects = 10;
constexpr size_t kLongestHead = size_t{1} << 18;  // bytes
constexpr long kConnectSeconds = 30, kStalledSeconds = 60;
constexpr long kBufferBytes = long{1} << 18;

CURL* new_handle() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL* handle = ready == CURLE_OK ? curl_easy_init() : nullptr;
  if (handle == nullptr) fail("cannot use the network: libcurl does not start");
  return handle;
}

/// Who answered, the status and the reason that hubs give in a header, fit for a terminal.
std::string refusal_text(const Reply& reply) {
  constexpr size_t kLongestReason = 300;
  const std::string reason = reply.header("x-error-message").substr(0, kLongestReason);
  return fmt::format("{}: HTTP {}{}{}", reply.url.shown(), reply.status, reason.empty() ? "" : ": ",
                     printable(reason));
}

template <class Value>
void set_option(CURL* handle, CURLoption option, Value value) {
  EVO_CHECK(curl_easy_setopt(handle, option, value) == CURLE_OK);
}

/// A number of seconds; the other form that HTTP allows, a date, counts as none.
int64_t retry_after(const Reply& reply) {
  const std::string text = reply.header("retry-after");
  int64_t seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::max<int64_t>(seconds, 0);
}

bool says_later(int64_t status) {
  return status == 408 || status == 429 || status >= 500;
}

bool redirects(const Reply& reply) {
  constexpr std::array<int64_t, 5> kRedirects = {301, 302, 303, 307, 308};
  return std::ranges::find(kRedirects, reply.status) != kRedirects.end() &&
         !reply.header("location").empty();
}

/// Where asking again finds nobody either.
bool is_final(CURLcode code, bool answered) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return !answered;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_OUT_OF_MEMORY:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string Reply::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

RefusedError::RefusedError(Reply reply) : Error(refusal_text(reply)), reply_(std::move(reply)) {}

/// One request and its reply; libcurl calls back.
class HttpClient::Transfer {
 public:
  Transfer(const HttpClient& client, const Get& get, const Url& url)
      : client_(client), get_(get), curl_(client.handle_.get()) {
    reply_.url = url;
    set(CURLOPT_URL, url.text().c_str());
    const std::string range = std::to_string(get.from) + "-";
    set(CURLOPT_RANGE, get.from > 0 ? range.c_str() : nullptr);
    set(CURLOPT_ERRORBUFFER, message_.data());
    set_callbacks();
    authorize(url);
  }
  ~Transfer() {
    // The handle outlives both.
    set(CURLOPT_ERRORBUFFER, nullptr);
    set(CURLOPT_HTTPHEADER, nullptr);
    curl_slist_free_all(lines_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  Reply run(bool& answered) {
    const CURLcode code = curl_easy_perform(curl_);
    if (reply_.status > 0) answered = true;
    if (thrown_) std::rethrow_exception(thrown_);
    if (code == CURLE_OK) return std::move(reply_);
    if (code == CURLE_ABORTED_BY_CALLBACK) {
      fail_interrupted("interrupted: what has arrived is kept, and the same command goes on");
    }
    const char* why = message_[0] != '\0' ? message_.data() : curl_easy_strerror(code);
    const std::string text = fmt::format("{}: {}", reply_.url.shown(), printable(why));
    if (is_final(code, answered)) throw Error(text);
    throw TransferError(text);
  }

 private:
  template <class Value>
  void set(CURLoption option, Value value) {
    set_option(curl_, option, value);
  }

  void authorize(const Url& url) {
    const Caller& caller = client_.caller_;
    if (!caller.token.empty() && url.same_origin(caller.token_for) && url.is_private()) {
      lines_ = curl_slist_append(nullptr, ("Authorization: Bearer " + caller.token).c_str());
      EVO_CHECK(lines_ != nullptr);
    }
    set(CURLOPT_HTTPHEADER, lines_);
  }

  void set_callbacks() {
    set(
        CURLOPT_HEADERFUNCTION, +[](char* data, size_t one, size_t count, void* self) -> size_t {
          return static_cast<Transfer*>(self)->guarded({data, one * count}, &Transfer::add_header);
        });
    set(CURLOPT_HEADERDATA, this);
    set(
        CURLOPT_WRITEFUNCTION, +[](char* data, size_t one, size_t count, void* self) -> size_t {
          return static_cast<Transfer*>(self)->guarded({data, one * count}, &Transfer::add_body);
        });
    set(CURLOPT_WRITEDATA, this);
    set(
        CURLOPT_XFERINFOFUNCTION,
        +[](void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) -> int {
          return interrupted() ? 1 : 0;
        });
    set(CURLOPT_NOPROGRESS, 0L);
  }

  /// libcurl is C: what is thrown waits until it has returned.
  size_t guarded(std::string_view bytes, void (Transfer::*take)(std::string_view)) {
    try {
      (this->*take)(bytes);
      return bytes.size();
    } catch (...) {
      thrown_ = std::current_exception();
      return bytes.empty() ? 1 : 0;  // another number than it gave: an error
    }
  }

  void add_header(std::string_view line) {
    head_bytes_ += line.size();
    if (head_bytes_ > kLongestHead) {
      fail("{}: the head of the reply is longer than {} bytes", reply_.url.shown(), kLongestHead);
    }
    if (line.starts_with("HTTP/")) {
      reply_.headers.clear();  // those of an earlier "100 Continue"
      return;
    }
    if (trimmed(line).empty()) return end_head();
    const size_t colon = line.find(':');
    if (colon == line.npos) return;
    reply_.headers.insert_or_assign(lower_case(line.substr(0, colon)),
                                    std::string(trimmed(line.substr(colon + 1))));
  }

  void end_head() {
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) return;
    const bool first = reply_.status == 0;  // trailers end in an empty line as well
    reply_.status = status;
    if (first && reply_.good() && get_.on_head) get_.on_head(reply_);
  }

  void add_body(std::string_view bytes) {
    if (reply_.good() && get_.on_body) get_.on_body(bytes);
  }

  const HttpClient& client_;
  const Get& get_;
  CURL* curl_;
  Reply reply_;
  curl_slist* lines_ = nullptr;
  size_t head_bytes_ = 0;
  std::array<char, CURL_ERROR_SIZE> message_{};
  std::exception_ptr thrown_;
};

HttpClient::HttpClient(Caller caller)
    : caller_(std::move(caller)), handle_(new_handle(), curl_easy_cleanup) {
  CURL* handle = handle_.get();
  set_option(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  set_option(handle, CURLOPT_USERAGENT, caller_.agent.c_str());
  set_option(handle, CURLOPT_NOSIGNAL, 1L);
  set_option(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  set_option(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  set_option(handle, CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
  set_option(handle, CURLOPT_BUFFERSIZE, kBufferBytes);
  set_option(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (!caller_.certificates.empty())
    set_option(handle, CURLOPT_CAINFO, caller_.certificates.c_str());
}

HttpClient::~HttpClient() = default;

Reply HttpClient::get(const Get& get) {
  Url url = get.url;
  for (int redirect = 0; redirect <= kMostRedirects; ++redirect) {
    Reply reply = Transfer(*this, get, url).run(answered_);
    if (reply.good()) return reply;
    if (says_later(reply.status)) throw TransferError(refusal_text(reply), retry_after(reply));
    if (!redirects(reply)) throw RefusedError(std::move(reply));
    const Url next = url.resolve(reply.header("location"), "redirect to");
    if (url.is_https() && !next.is_https()) {
      fail("{}: redirects to {}, which is not https: what comes from there could be anybody's",
           url.shown(), next.shown());
    }
    url = next;
  }
  fail("{}: redirects more than {} times", get.url.shown(), kMostRedirects);
}

}  // namespace evo::hub
