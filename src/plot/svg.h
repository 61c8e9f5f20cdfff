// What pictures in SVG share.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace evo::plot {

/// Text for XML: markup escaped; control characters and the noncharacters U+FFFE and U+FFFF, which
/// XML 1.0 cannot hold, left out. `text` is UTF-8.
[[nodiscard]] std::string xml_escaped(std::string_view text);

/// A self-contained SVG document, built up element by element. Lengths are in SVG units.
class Svg {
 public:
  /// `css_class` is that of the document, for rules in `style`, a <style> element; `title` is what
  /// readers are told that the picture shows.
  Svg(std::string_view css_class, double width, double height, std::string_view title,
      std::string_view style);

  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    text_ += fmt::format(format, std::forward<Args>(args)...);
  }
  /// `content` is escaped; `anchor` is "start", "middle" or "end".
  void text(double x, double y, std::string_view anchor, std::string_view css,
            std::string_view content);
  void segment(double x1, double y1, double x2, double y2, std::string_view css);

  /// The document; once.
  [[nodiscard]] std::string finish();

 private:
  std::string text_;
};

}  // namespace evo::plot
