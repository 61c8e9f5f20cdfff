#include "plot/svg.h"

#include <gtest/gtest.h>

namespace evo::plot {
namespace {

TEST(XmlEscaped, MarkupAndWhatXmlCannotHold) {
  EXPECT_EQ(xml_escaped("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
  EXPECT_EQ(xml_escaped(std::string_view("a\0\x01\n\x1F"
                                         "b\x7F",
                                         7)),
            "ab\x7F");
  EXPECT_EQ(xml_escaped("\u20AC\uFFFD\uFFFE\uFFFF\uFFFC."), "\u20AC\uFFFD\uFFFC.");
  EXPECT_EQ(xml_escaped("\xEF\xBF"), "\xEF\xBF");  // looks at no byte behind the end
}

TEST(Svg, IsADocument) {
  Svg svg("some-class", 30, 20, "a < b", "<style></style>\n");
  svg.text(1, 2.25, "end", "note", "x & y");
  svg.segment(0, 1, 2.04, 3, "line");
  svg.add("<g class=\"{}\"/>\n", 7);
  EXPECT_EQ(svg.finish(),
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"some-class\" viewBox=\"0 0 30 20\" "
            "role=\"img\">\n<title>a &lt; b</title>\n<style></style>\n"
            "<rect width=\"30\" height=\"20\" class=\"paper\"/>\n"
            "<text x=\"1.0\" y=\"2.2\" text-anchor=\"end\" class=\"note\">x &amp; y</text>\n"
            "<path d=\"M0.0,1.0L2.0,3.0\" class=\"line\"/>\n"
            "<g class=\"7\"/>\n</svg>\n");
}

}  // namespace
}  // namespace evo::plot
