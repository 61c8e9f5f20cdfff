#include "hub/remote/url.h"

#include <curl/curl.h>

#include <memory>

#include "base/ascii.h"
#include "base/error.h"
#include "base/terminal/text_width.h"

namespace evo::hub {
namespace {

using Parsed = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

[[noreturn]] void refuse(std::string_view what, std::string_view text, std::string_view why) {
  fail("{} '{}': expected https://HOST or http://HOST, with a path or not: {}", what,
       printable(text.substr(0, text.find('?'))), why);
}

}  // namespace

Url Url::parse(const std::string& text, std::string_view what) {
  return Url().resolve(text, what);
}

Url Url::resolve(const std::string& reference, std::string_view what) const {
  const Parsed parsed(curl_url(), curl_url_cleanup);
  EVO_CHECK(parsed != nullptr);
  CURLUcode fault = CURLUE_OK;
  if (!text_.empty()) fault = curl_url_set(parsed.get(), CURLUPART_URL, text_.c_str(), 0);
  if (fault == CURLUE_OK)
    fault = curl_url_set(parsed.get(), CURLUPART_URL, reference.c_str(), CURLU_URLENCODE);
  if (fault != CURLUE_OK) refuse(what, reference, curl_url_strerror(fault));
  Url url;
  url.scheme_ = lower_case(part_of(parsed.get(), CURLUPART_SCHEME));
  url.host_ = lower_case(part_of(parsed.get(), CURLUPART_HOST));
  url.port_ = part_of(parsed.get(), CURLUPART_PORT);
  if (url.scheme_ != "http" && url.scheme_ != "https") refuse(what, reference, "another protocol");
  if (url.host_.empty()) refuse(what, reference, "no host");
  if (!part_of(parsed.get(), CURLUPART_USER).empty()) refuse(what, reference, "a user's name");
  curl_url_set(parsed.get(), CURLUPART_FRAGMENT, nullptr, 0);
  char* whole = nullptr;
  EVO_CHECK(curl_url_get(parsed.get(), CURLUPART_URL, &whole, 0) == CURLUE_OK);
  url.text_ = whole;
  curl_free(whole);
  return url;
}

std::string Url::shown() const {
  return printable(text_.substr(0, text_.find('?')));
}

bool Url::is_private() const {
  return is_https() || host_ == "localhost" || host_ == "[::1]" || host_.starts_with("127.");
}

bool Url::same_origin(const Url& other) const {
  return scheme_ == other.scheme_ && host_ == other.host_ && port_ == other.port_;
}

std::string percent_encoded(std::string_view text, bool keep_slashes) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' ||
                       c == '~' || (c == '/' && keep_slashes);
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace evo::hub
