#include "serve/http/request_head.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii.h"
#include "serve/api/request_error.h"

namespace evo::serve {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr size_t kLongestTarget = 2048;
constexpr size_t kMostFields = 100;
constexpr std::array<std::string_view, 7> kMethods = {"GET",    "HEAD",    "POST", "PUT",
                                                      "DELETE", "OPTIONS", "PATCH"};

[[noreturn]] void refuse(const std::string& what) {
  throw RequestError(kBadRequest, "the request is not valid HTTP: " + what, "", "invalid_http");
}

bool is_visible(char c) {
  return c > ' ' && c <= '~';
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

/// Takes a line off the text; its end must be CRLF and nothing else.
std::string_view take_line(std::string_view& text) {
  const size_t end = text.find_first_of("\r\n");
  if (end == std::string_view::npos || text.substr(end, 2) != kLineEnd) {
    refuse("lines end with CR and LF, and hold neither");
  }
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + kLineEnd.size());
  return line;
}

void parse_request_line(std::string_view line, RequestHead& head) {
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    refuse("expected a method, a path and a version, with one space between them");
  }
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(head.method)) refuse("the method is no word");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    if (!version.starts_with("HTTP/")) refuse("expected a version after the path");
    throw RequestError(kVersionUnsupported, "expected HTTP/1.1");
  }
  if (!std::ranges::all_of(head.target, is_visible) || head.target.find('#') != std::string::npos) {
    refuse("the path has a character that must be written as %XX");
  }
  if (head.target.size() > kLongestTarget) {
    throw RequestError(kPathTooLong, fmt::format("a path has at most {} bytes", kLongestTarget));
  }
  if (std::ranges::find(kMethods, head.method) == kMethods.end()) {
    throw RequestError(kNotImplemented, "there is no such method here");
  }
  if (!head.target.starts_with('/') && !(head.target == "*" && head.method == "OPTIONS")) {
    refuse("expected a path, which begins with /");
  }
  head.keep_alive = version == "HTTP/1.1";
}

void parse_field(std::string_view line, RequestHead& head) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) refuse("expected NAME: VALUE");
  const std::string_view name = line.substr(0, colon), value = trim(line.substr(colon + 1));
  // A name with white space at its end, or a line that goes on the one before it, is one too.
  if (!is_token(name)) refuse("the name of a field is no word");
  if (!is_field_value(value)) refuse("a field holds a control character");
  head.fields.emplace_back(lower_case(name), value);
}

/// The values of fields that may be there once only.
const std::string* find_single(const RequestHead& head, std::string_view name) {
  const auto named = [&](const auto& field) { return field.first == name; };
  if (std::ranges::count_if(head.fields, named) > 1) {
    refuse(fmt::format("\"{}\" is there twice", name));
  }
  return head.find(name);
}

void read_framing(bool is_1_0, RequestHead& head) {
  const std::string* length = find_single(head, "content-length");
  const std::string* encoding = find_single(head, "transfer-encoding");
  if (length != nullptr && encoding != nullptr) {
    refuse("a body has a length or comes in chunks, not both");
  }
  if (length != nullptr) {
    uint64_t value = 0;
    const char* const end = length->data() + length->size();
    const auto [read, error] = std::from_chars(length->data(), end, value);
    if (error != std::errc() || read != end) refuse("the length of the body is no number");
    head.length = value;
  }
  if (encoding == nullptr) return;
  if (is_1_0) refuse("HTTP/1.0 has no chunks");
  if (lower_case(*encoding) != "chunked") {
    throw RequestError(kNotImplemented,
                       "a body may come in chunks, but in no other encoding of a transfer");
  }
  head.chunked = true;
}

/// Whether a field that is a list has this word.
bool lists(const RequestHead& head, std::string_view name, std::string_view word) {
  for (const auto& [field, value] : head.fields) {
    if (field != name) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(','), rest.size());
      if (lower_case(trim(rest.substr(0, end))) == word) return true;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return false;
}

void read_expectation(RequestHead& head) {
  const std::string* expected = find_single(head, "expect");
  if (expected == nullptr) return;
  if (lower_case(*expected) != "100-continue") {
    throw RequestError(kExpectationFailed, "nothing but 100-continue can be expected");
  }
  head.expects_continue = head.has_body();
}

}  // namespace

const std::string* RequestHead::find(std::string_view name) const {
  const auto found = std::ranges::find_if(fields, [&](const auto& f) { return f.first == name; });
  return found == fields.end() ? nullptr : &found->second;
}

bool is_token(std::string_view text) {
  constexpr std::string_view kSigns = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return is_digit(c) || is_letter(c) || (c != '\0' && kSigns.find(c) != std::string_view::npos);
  });
}

bool is_field_value(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= ' ' && byte != 0x7F);
  });
}

RequestHead parse_head(std::string_view text) {
  RequestHead head;
  parse_request_line(take_line(text), head);
  const bool is_1_0 = !head.keep_alive;
  for (std::string_view line = take_line(text); !line.empty(); line = take_line(text)) {
    if (head.fields.size() == kMostFields) {
      throw RequestError(kFieldsTooLarge,
                         fmt::format("a request has at most {} fields", kMostFields));
    }
    parse_field(line, head);
  }
  if (find_single(head, "host") == nullptr && !is_1_0) refuse("\"Host\" is missing");
  read_framing(is_1_0, head);
  read_expectation(head);
  if (lists(head, "connection", "close")) head.keep_alive = false;
  return head;
}

}  // namespace evo::serve
