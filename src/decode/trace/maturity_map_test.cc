#include "decode/trace/maturity_map.h"

#include <fmt/format.h>

#include <cmath>
#include <regex>
#include <set>

#include "decode/trace/trace_testing.h"
#include "plot/svg_testing.h"

namespace evo::decode {
namespace {

using testing::count;
using testing::expect_balanced;
using testing::small_trace;
using testing::texts;
using testing::trace_token;
using Places = std::set<std::pair<int, int>>;  // column and row

// Where the map of a short text lies, in SVG units.
constexpr double kLeft = 64, kTop = 136, kWidth = 56, kHeight = 20;

/// Cells at whose upper left corner, but for a border, a shape of this class begins; the legend,
/// which lies above, not among them.
Places cells(const std::string& svg, const std::string& shape, const std::string& css) {
  const std::regex pattern(shape == "rect"
                               ? "<rect x=\"([0-9.]+)\" y=\"([0-9.]+)\"[^>]*class=\"" + css + "\""
                               : "<path d=\"M([0-9.]+),([0-9.]+)L[^>]*class=\"" + css + "\"");
  Places found;
  for (std::sregex_iterator match(svg.begin(), svg.end(), pattern), end; match != end; ++match) {
    const double x = std::stod((*match)[1]), y = std::stod((*match)[2]);
    if (y < kTop) continue;
    found.emplace(static_cast<int>((x - kLeft) / kWidth), static_cast<int>((y - kTop) / kHeight));
  }
  return found;
}

TEST(MaturityMap, CellsAreWhereTheyBelong) {
  const std::string svg = maturity_map_svg(small_trace());
  expect_balanced(svg);
  EXPECT_EQ(texts(svg, "title"),
            std::vector<std::string>{"Maturity map: mode exact, 1.50 tokens per forward pass"});
  EXPECT_EQ(texts(svg, "label"), (std::vector<std::string>{"The", "\u00B7cat", "\u21B5and"}));
  EXPECT_EQ(texts(svg, "tick"), (std::vector<std::string>{"0", "1", "3", "4", "5", "6"}));
  EXPECT_NE(texts(svg, "note").at(0).find("3 tokens in 2 passes"), std::string::npos);
  // The sure draft, where it was drafted and where it was accepted; the hardly possible one.
  EXPECT_EQ(cells(svg, "rect", "s8"), (Places{{1, 0}, {1, 1}}));
  EXPECT_EQ(cells(svg, "rect", "s0"), (Places{{2, 0}}));
  EXPECT_EQ(cells(svg, "rect", "s4"), (Places{{3, 1}}));
  EXPECT_EQ(cells(svg, "rect", "committed"), (Places{{0, 0}, {1, 1}, {2, 1}}));
  EXPECT_EQ(cells(svg, "path", "rejected"), (Places{{2, 0}}));
  EXPECT_EQ(cells(svg, "rect", "written"), (Places{{0, 1}}));
  EXPECT_NE(svg.find("<title>pass 0, position 5: \u00B7sat; t 1.00, maturity 0.01, entropy 1.25 "
                     "nats; likeliest \u00B7sat \u00B7e</title>"),
            std::string::npos);
}

TEST(MaturityMap, DiffusionIsColouredByTime) {
  Trace trace = small_trace();
  trace.header.mode = "diffusion";
  // Pass 0 knew four tokens and committed the first of them, which had almost settled.
  trace.passes[0].tokens = {trace_token(3, "The", 0.01, 0.5), trace_token(4, " a", 0.5, 0.5),
                            trace_token(5, " b", 1, 0.5)};
  trace.passes[1].tokens = {trace_token(4, " cat", 0.01, 0), trace_token(5, "\nand", 0.3, 0)};
  const std::string svg = maturity_map_svg(trace);
  expect_balanced(svg);
  EXPECT_EQ(texts(svg, "legend"),
            (std::vector<std::string>{"t: noise 1", "0 settled", "committed by this pass",
                                      "already text"}));
  EXPECT_EQ(cells(svg, "rect", "s8"), (Places{{0, 0}, {1, 1}}));
  EXPECT_EQ(cells(svg, "rect", "s4"), (Places{{1, 0}}));
  EXPECT_EQ(cells(svg, "rect", "s0"), (Places{{2, 0}}));
  EXPECT_EQ(cells(svg, "rect", "s6"), (Places{{2, 1}}));
  EXPECT_EQ(cells(svg, "rect", "committed"), (Places{{0, 0}, {1, 1}, {2, 1}}));
  EXPECT_EQ(cells(svg, "path", "rejected"), Places{});
}

TEST(MaturityMap, LegendSaysWhatColoursMean) {
  EXPECT_EQ(texts(maturity_map_svg(small_trace()), "legend").at(0), "maturity 0");
  Trace trace = small_trace();
  trace.header.mode = "evo";
  trace.header.balance = 0.25;
  EXPECT_EQ(texts(maturity_map_svg(trace), "title").at(0),
            "Maturity map: mode evo (balance 0.25), 1.50 tokens per forward pass");
}

TEST(MaturityMap, LongTracesAreCut) {
  Trace trace = small_trace();
  trace.passes.clear();
  for (int64_t i = 0; i < 230; ++i) {
    TracePass& pass = trace.passes.emplace_back();
    pass.pass = i;
    pass.committed = {7, 7};
    pass.committed_texts = {"seven", "seven"};
    pass.tokens = {trace_token(3 + 2 * i + 2, "seven", 1, 0.99)};
  }
  const std::string svg = maturity_map_svg(trace);
  expect_balanced(svg);
  EXPECT_EQ(texts(svg, "note").at(1), "cut: only the first 200 tokens and 200 passes are shown");
  EXPECT_EQ(texts(svg, "label").size(), 200u);
  EXPECT_EQ(count(svg, "class=\"committed\""), 200u + 1);  // and one in the legend
  EXPECT_EQ(count(svg, "<title>pass "), 99u);              // token 2 i + 2 of pass i below 200
  EXPECT_EQ(svg.find("<title>pass 99,"), std::string::npos);
  EXPECT_EQ(texts(maturity_map_svg(small_trace()), "note").size(), 3u) << "not cut: no such note";
}

TEST(MaturityMap, NothingAndNonsense) {
  const std::string empty = maturity_map_svg({});
  expect_balanced(empty);
  EXPECT_NE(texts(empty, "note").at(0).find("0 tokens in 0 passes"), std::string::npos);
  // A trace is a file: positions, counts and numbers in it may be anything.
  Trace trace = small_trace();
  trace.passes[0].tokens = {trace_token(-9, "a", -1e300, 1e300), trace_token(1 << 30, "b", 1, 1),
                            trace_token(4, "\x01 ]]>", 1, std::nan(""))};
  trace.passes[1].accepted = 1 << 30;
  const std::string svg = maturity_map_svg(trace);
  expect_balanced(svg);
  EXPECT_EQ(svg.find('\x01'), std::string::npos);
  EXPECT_EQ(count(svg, "class=\"committed\""), 3u + 1);
}

}  // namespace
}  // namespace evo::decode
