#include "cli/hub/hub_settings.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <system_error>

#include "base/ascii.h"
#include "base/error.h"
#include "files/files.h"

namespace evo::cli {

namespace fs = std::filesystem;

namespace {

/// The first of these that is set to something; else empty.
std::string first_set(std::initializer_list<const char*> variables) {
  for (const char* variable : variables) {
    const char* value = std::getenv(variable);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

/// With the home folder in the place of a '~' at its beginning.
fs::path folder_of(const std::string& text) {
  if (text != "~" && !text.starts_with("~/")) return text;
  return fs::path(first_set({"HOME"})) / fs::path(text.substr(1)).relative_path();
}

fs::path hub_home() {
  if (const std::string home = first_set({"HF_HOME"}); !home.empty()) return folder_of(home);
  if (const std::string caches = first_set({"XDG_CACHE_HOME"}); !caches.empty())
    return folder_of(caches) / "huggingface";
  if (const std::string home = first_set({"HOME"}); !home.empty())
    return fs::path(home) / ".cache" / "huggingface";
  fail("no folder for models: set HF_HUB_CACHE, or HOME");
}

std::string token_in_file() {
  constexpr int64_t kLongestToken = 4096;  // bytes
  const std::string named = first_set({"HF_TOKEN_PATH"});
  const fs::path path = named.empty() ? hub_home() / "token" : folder_of(named);
  std::error_code missing;
  if (!fs::is_regular_file(path, missing)) return {};
  return std::string(trimmed(files::read_file(path, kLongestToken)));
}

bool is_true(const std::string& text) {
  constexpr std::array kYes = {"1", "ON", "YES", "TRUE"};
  return std::ranges::find(kYes, upper_case(text)) != kYes.end();
}

}  // namespace

hub::Cache hub_cache() {
  const std::string named = first_set({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  return hub::Cache(fs::absolute(named.empty() ? hub_home() / "hub" : folder_of(named)));
}

std::string hub_token() {
  std::string token(trimmed(first_set({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})));
  const bool of_file = token.empty();
  if (of_file) token = token_in_file();
  const auto plain = [](char c) { return c > ' ' && c < '\x7F'; };
  if (std::ranges::all_of(token, plain)) return token;
  fail("{}: expected a token in printable ASCII, without blanks",
       of_file ? "the hub's token file" : "HF_TOKEN");
}

std::string hub_endpoint() {
  return first_set({"HF_ENDPOINT"});
}

std::string hub_certificates() {
  return first_set({"CURL_CA_BUNDLE", "SSL_CERT_FILE"});
}

bool hub_is_offline() {
  return is_true(first_set({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}));
}

}  // namespace evo::cli
