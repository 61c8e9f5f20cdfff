#include "plot/svg.h"

namespace evo::plot {

std::string xml_escaped(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("\xEF\xBF\xBE") || rest.starts_with("\xEF\xBF\xBF")) {
      i += 2;
      continue;
    }
    switch (text[i]) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        if (static_cast<unsigned char>(text[i]) >= 0x20) result += text[i];
    }
  }
  return result;
}

Svg::Svg(std::string_view css_class, double width, double height, std::string_view title,
         std::string_view style) {
  add("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{}\" viewBox=\"0 0 {} {}\" "
      "role=\"img\">\n<title>{}</title>\n{}",
      css_class, width, height, xml_escaped(title), style);
  add("<rect width=\"{}\" height=\"{}\" class=\"paper\"/>\n", width, height);
}

void Svg::text(double x, double y, std::string_view anchor, std::string_view css,
               std::string_view content) {
  add("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", x, y, anchor,
      css, xml_escaped(content));
}

void Svg::segment(double x1, double y1, double x2, double y2, std::string_view css) {
  add("<path d=\"M{:.1f},{:.1f}L{:.1f},{:.1f}\" class=\"{}\"/>\n", x1, y1, x2, y2, css);
}

std::string Svg::finish() {
  text_ += "</svg>\n";
  return std::move(text_);
}

}  // namespace evo::plot
