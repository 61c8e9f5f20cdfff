// A URL with a host, as libcurl reads it.
#pragma once

#include <string>
#include <string_view>

namespace evo::hub {

class Url {
 public:
  /// Throws Error, with `what` for its name, unless it is http or https with a host and without a
  /// user's name.
  static Url parse(const std::string& text, std::string_view what);
  /// What `reference`, which may be relative, means on the page of this URL.
  [[nodiscard]] Url resolve(const std::string& reference, std::string_view what) const;

  [[nodiscard]] const std::string& text() const { return text_; }
  /// Without what stands behind '?', which may be a key to the file.
  [[nodiscard]] std::string shown() const;
  [[nodiscard]] const std::string& host() const { return host_; }
  [[nodiscard]] bool is_https() const { return scheme_ == "https"; }
  /// Whether nobody between us and that host can read what is sent: https, or this machine.
  [[nodiscard]] bool is_private() const;
  /// The same program answers: scheme, host and port are the same.
  [[nodiscard]] bool same_origin(const Url& other) const;

 private:
  std::string text_, scheme_, host_, port_;  // scheme and host in lower case
};

/// `text` as a part of a path: letters, digits and "-._~" stay, all else becomes %XX; '/' stays if
/// `keep_slashes`.
[[nodiscard]] std::string percent_encoded(std::string_view text, bool keep_slashes);

}  // namespace evo::hub
