#include "decode/trace/maturity_map.h"

#include <algorithm>

#include "plot/svg.h"
#include "text/utf8.h"

namespace evo::decode {
namespace {

constexpr int64_t kMaxColumns = 200, kMaxRows = 200;
constexpr int64_t kRoomyColumns = 32;  // up to here cells are wide enough for the token in them
constexpr double kLeft = 64, kRight = 28, kBottom = 40;
constexpr double kLegendY = 84, kLabelsY = 128;
constexpr double kLeastWidth = 760;
constexpr size_t kCellCharacters = 7, kLabelCharacters = 12, kPromptCharacters = 60;
constexpr double kGap = 0.9;  // around a colour: half of a committed cell's border
constexpr int kShades = 9;

// Viridis without its darkest end, from unsettled to settled: even steps of lightness, also for
// colour-blind readers. No CSS variables, which viewers other than browsers do not know.
constexpr std::string_view kStyle = R"(<style>
.evo-map text{font:11px system-ui,sans-serif;fill:#222}
.evo-map .title{font-size:17px;font-weight:600}
.evo-map .note{fill:#666}
.evo-map .cell{font-size:10.5px;fill:#111}
.evo-map .on-dark{fill:#fff}
.evo-map .paper{fill:#fff}
.evo-map .written{fill:#f0f1f3}
.evo-map .grid{stroke:#e4e6e9}
.evo-map .committed{stroke:#111;stroke-width:1.8;fill:none}
.evo-map .rejected{stroke:#c2185b;stroke-width:1.2;fill:none}
.evo-map .s0{fill:#fde725}
.evo-map .s1{fill:#bddf26}
.evo-map .s2{fill:#7ad151}
.evo-map .s3{fill:#44bf70}
.evo-map .s4{fill:#22a884}
.evo-map .s5{fill:#21918c}
.evo-map .s6{fill:#2a788e}
.evo-map .s7{fill:#355f8d}
.evo-map .s8{fill:#414487}
@media (prefers-color-scheme:dark){
.evo-map text{fill:#e6e6e6}
.evo-map .note{fill:#9aa4af}
.evo-map .cell{fill:#111}
.evo-map .on-dark,.evo-map .on-paper{fill:#fff}
.evo-map .paper{fill:#15181c}
.evo-map .written{fill:#22262c}
.evo-map .grid{stroke:#2b3037}
.evo-map .committed{stroke:#fff}
.evo-map .rejected{stroke:#ff5c8d}
}
</style>
)";

/// A token's text where there is little room, in `limit` characters: blanks and line ends visible.
std::string compact(std::string_view text, size_t limit) {
  std::string result;
  for (size_t characters = 0; !text.empty(); ++characters) {
    if (characters == limit) return result + "\u2026";
    const size_t length = std::max<size_t>(1, text::utf8_character_length(text));
    const std::string_view character = text.substr(0, length);
    if (character == "\n") {
      result += "\u21B5";
    } else if (character.front() >= 0 && character.front() <= ' ') {
      result += "\u00B7";
    } else {
      result += character;
    }
    text.remove_prefix(length);
  }
  return result;
}

/// The last `limit` characters of a text, for running text.
std::string tail(std::string_view text, size_t limit) {
  size_t begin = text.size();
  for (size_t characters = 0; begin > 0 && characters < limit; --begin) {
    if ((static_cast<unsigned char>(text[begin - 1]) & 0xC0) != 0x80) ++characters;
  }
  std::string result = begin > 0 ? "\u2026" : "";
  for (const char c : text.substr(begin)) result += c == '\n' ? ' ' : c;
  return result;
}

class Map {
 public:
  explicit Map(const Trace& trace)
      : trace_(trace), by_time_(trace.header.mode == mode_name(Mode::kDiffusion)) {
    all_columns_ = committed_tokens(trace.passes);
    int64_t needed = all_columns_;
    rows_ = std::min<int64_t>(std::ssize(trace.passes), kMaxRows);
    for (const TracePass& pass : std::span(trace.passes).first(rows_)) {
      for (const TraceToken& token : pass.tokens) needed = std::max(needed, column(token) + 1);
    }
    columns_ = std::min(needed, kMaxColumns);
    roomy_ = columns_ <= kRoomyColumns;
    cell_width_ = roomy_ ? 56 : 13;
    cell_height_ = roomy_ ? 20 : 13;
    top_ = kLabelsY + (roomy_ ? 8 : 76);
  }

  std::string draw() {
    const double width =
        std::max(kLeastWidth, kLeft + kRight + static_cast<double>(columns_) * cell_width_);
    plot::Svg svg("evo-map", width, y(rows_) + kBottom, title(), kStyle);
    draw_head(svg);
    draw_legend(svg);
    draw_written(svg);
    draw_axes(svg);
    int64_t first = 0;
    for (int64_t row = 0; row < rows_; ++row) {
      draw_tokens(svg, row);
      draw_committed(svg, row, first);
      first += std::ssize(pass(row).committed);
    }
    return svg.finish();
  }

 private:
  [[nodiscard]] const TracePass& pass(int64_t row) const { return trace_.passes[row]; }
  [[nodiscard]] double x(int64_t column) const {
    return kLeft + static_cast<double>(column) * cell_width_;
  }
  [[nodiscard]] double y(int64_t row) const {
    return top_ + static_cast<double>(row) * cell_height_;
  }
  /// -1: the token does not belong to the generated text.
  [[nodiscard]] int64_t column(const TraceToken& token) const {
    return std::max<int64_t>(-1, token.position - trace_.header.first_position);
  }
  [[nodiscard]] int shade(const TraceToken& token) const {
    const double settled = by_time_ ? 1 - token.time : token.maturity;
    return settled > 0 ? static_cast<int>(std::min(settled, 1.0) * (kShades - 0.01)) : 0;
  }

  [[nodiscard]] std::string title() const {
    const TraceHeader& header = trace_.header;
    const std::string balance =
        header.mode == mode_name(Mode::kEvo) ? fmt::format(" (balance {:g})", header.balance) : "";
    return fmt::format("Maturity map: mode {}{}, {:.2f} tokens per forward pass", header.mode,
                       balance, tokens_per_forward(trace_.passes));
  }

  void draw_head(plot::Svg& svg) const {
    const auto passes = std::ssize(trace_.passes);
    svg.text(20, 30, "start", "title", title());
    std::string note =
        fmt::format("{} tokens in {} passes, seed {}", all_columns_, passes, trace_.header.seed);
    if (!trace_.header.prompt.empty()) {
      note += fmt::format(", after \u201C{}\u201D", tail(trace_.header.prompt, kPromptCharacters));
    }
    svg.text(20, 52, "start", "note", note);
    const bool cut = all_columns_ > columns_ || passes > rows_;
    if (!cut) return;
    svg.text(20, 68, "start", "note",
             fmt::format("cut: only the first {} tokens and {} passes are shown", columns_, rows_));
  }

  void draw_legend(plot::Svg& svg) const {
    constexpr double kBar = 16, kHeight = 13;
    double at = 20;
    const double text_y = kLegendY + 10.5;
    const auto label = [&](std::string_view text, double width) {
      svg.text(at, text_y, "start", "legend", text);
      at += width;
    };
    const auto swatch = [&](std::string_view css) {
      box(svg, at, kLegendY, kBar, kHeight, css);
      at += kBar + 6;
    };
    label(by_time_ ? "t: noise 1" : "maturity 0", by_time_ ? 58 : 62);
    for (int i = 0; i < kShades; ++i, at += kBar) {
      box(svg, at, kLegendY, kBar, kHeight, fmt::format("s{}", i));
    }
    at += 6;
    label(by_time_ ? "0 settled" : "1", by_time_ ? 74 : 28);
    swatch("committed");
    label(by_time_ ? "committed by this pass" : "committed (no colour: not drafted)",
          by_time_ ? 150 : 214);
    if (!by_time_) {
      cross(svg, at, kLegendY, kBar, kHeight);
      at += kBar + 6;
      label("rejected by the next pass", 162);
    }
    swatch("written");
    label("already text", 0);
  }

  /// Below the pass that commits it, a column is text.
  void draw_written(plot::Svg& svg) const {
    int64_t begin = 0;
    for (int64_t row = 0; row < rows_ && begin < columns_; ++row) {
      const int64_t end = std::min(begin + std::ssize(pass(row).committed), columns_);
      if (end > begin && row + 1 < rows_) {
        box(svg, x(begin), y(row + 1), x(end) - x(begin), y(rows_) - y(row + 1), "written");
      }
      begin = end;
    }
  }

  void draw_axes(plot::Svg& svg) const {
    const double bottom = y(rows_), right = x(columns_);
    const int64_t row_step = rows_ <= 20 ? 1 : rows_ <= 60 ? 5 : 10;
    const int64_t column_step = roomy_ ? 1 : 10;
    for (int64_t row = 0; row <= rows_; ++row) svg.segment(kLeft, y(row), right, y(row), "grid");
    for (int64_t column = 0; column <= columns_; ++column) {
      svg.segment(x(column), top_, x(column), bottom, "grid");
    }
    for (int64_t row = 0; row < rows_; row += row_step) {
      svg.text(kLeft - 8, y(row) + cell_height_ / 2 + 4, "end", "tick",
               std::to_string(pass(row).pass));
    }
    for (int64_t column = 0; column < columns_; ++column) {
      const int64_t position = trace_.header.first_position + column;
      if (position % column_step != 0) continue;
      svg.text(x(column) + cell_width_ / 2, bottom + 15, "middle", "tick",
               std::to_string(position));
    }
    svg.text(kLeft, bottom + 32, "start", "note", "position in the text \u2192");
    svg.add("<g transform=\"translate(18 {:.1f}) rotate(90)\">", top_);
    svg.text(0, 0, "start", "note", "pass \u2192");
    svg.add("</g>\n");
    draw_labels(svg);
  }

  /// The text itself, above the columns.
  void draw_labels(plot::Svg& svg) const {
    int64_t at = 0;
    for (int64_t row = 0; row < rows_; ++row) {
      for (const std::string& text : pass(row).committed_texts) {
        if (at == columns_) return;
        const double middle = x(at++) + cell_width_ / 2;
        if (roomy_) {
          svg.text(middle, top_ - 6, "middle", "label", compact(text, kCellCharacters));
          continue;
        }
        svg.add("<g transform=\"translate({:.1f} {:.1f}) rotate(-90)\">", middle + 4, top_ - 5);
        svg.text(0, 0, "start", "label", compact(text, kLabelCharacters));
        svg.add("</g>\n");
      }
    }
  }

  /// The tokens that the pass left uncommitted and, in diffusion mode, those that it committed.
  void draw_tokens(plot::Svg& svg, int64_t row) const {
    const std::vector<TraceToken>& tokens = pass(row).tokens;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const TraceToken& token = tokens[i];
      if (column(token) < 0 || column(token) >= columns_) continue;
      draw_cell(svg, row, column(token), token, row);
      const bool judged = !by_time_ && row + 1 < std::ssize(trace_.passes);
      if (judged && std::cmp_greater_equal(i, pass(row + 1).accepted)) {
        cross(svg, x(column(token)), y(row), cell_width_, cell_height_);
      }
      draw_text(svg, row, column(token), token.text, text_css(token));
    }
  }

  /// Borders; accepted drafts show again as they were when they were drafted, in the pass before.
  void draw_committed(plot::Svg& svg, int64_t row, int64_t first) const {
    const TracePass& now = pass(row);
    for (int64_t i = 0; i < std::ssize(now.committed) && first + i < columns_; ++i) {
      box(svg, x(first + i), y(row), cell_width_, cell_height_, "committed");
      if (by_time_) continue;  // its cell is there already
      const bool drafted = row > 0 && i < now.accepted && i < std::ssize(pass(row - 1).tokens);
      const TraceToken* draft = drafted ? &pass(row - 1).tokens[i] : nullptr;
      if (draft != nullptr) draw_cell(svg, row, first + i, *draft, row - 1);
      draw_text(svg, row, first + i, now.committed_texts[i],
                draft != nullptr ? text_css(*draft) : "cell on-paper");
    }
  }

  /// A token as pass `known` knew it.
  void draw_cell(plot::Svg& svg, int64_t row, int64_t column, const TraceToken& token,
                 int64_t known) const {
    svg.add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"s{}\">",
            x(column) + kGap, y(row) + kGap, cell_width_ - 2 * kGap, cell_height_ - 2 * kGap,
            shade(token));
    std::string likely;
    for (const std::string& text : token.top_texts) {
      likely += fmt::format(" {}", compact(text, kLabelCharacters));
    }
    const std::string knowledge = fmt::format(
        "pass {}, position {}: {}; t {:.2f}, maturity {:.2f}, entropy {:.2f} nats{}{}",
        pass(known).pass, token.position, compact(token.text, kLabelCharacters), token.time,
        token.maturity, token.entropy, likely.empty() ? "" : "; likeliest", likely);
    svg.add("<title>{}</title></rect>\n", plot::xml_escaped(knowledge));
  }

  void draw_text(plot::Svg& svg, int64_t row, int64_t column, std::string_view text,
                 std::string_view css) const {
    if (!roomy_) return;
    svg.text(x(column) + cell_width_ / 2, y(row) + cell_height_ / 2 + 4, "middle", css,
             compact(text, kCellCharacters));
  }

  [[nodiscard]] std::string_view text_css(const TraceToken& token) const {
    return shade(token) > kShades / 2 ? "cell on-dark" : "cell";
  }

  static void box(plot::Svg& svg, double x, double y, double width, double height,
                  std::string_view css) {
    svg.add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"{}\"/>\n",
            x, y, width, height, css);
  }

  static void cross(plot::Svg& svg, double x, double y, double width, double height) {
    svg.add(
        "<path d=\"M{0:.1f},{1:.1f}L{2:.1f},{3:.1f}M{0:.1f},{3:.1f}L{2:.1f},{1:.1f}\" "
        "class=\"rejected\"/>\n",
        x + 2, y + 2, x + width - 2, y + height - 2);
  }

  const Trace& trace_;
  bool by_time_, roomy_;
  int64_t all_columns_, columns_, rows_;
  double cell_width_, cell_height_, top_;
};

}  // namespace

std::string maturity_map_svg(const Trace& trace) {
  return Map(trace).draw();
}

}  // namespace evo::decode
