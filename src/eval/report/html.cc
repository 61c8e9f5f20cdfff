#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "decode/trace/maturity_map.h"
#include "eval/report/content.h"
#include "eval/report/pictures.h"
#include "eval/report/report.h"
#include "eval/report/style.h"
#include "eval/report/text.h"

namespace evo::eval {
namespace {

constexpr size_t kOpenPictures = 6;  // of reliability; what is beyond can be opened

const char* tone_css(ReportCell::Tone tone) {
  if (tone == ReportCell::Tone::kBetter) return " better";
  return tone == ReportCell::Tone::kWorse ? " worse" : "";
}

/// The width of a picture in pixels; 0 if its beginning does not say.
double picture_width(std::string_view svg) {
  constexpr std::string_view kBefore = "viewBox=\"0 0 ";
  const size_t found = svg.find(kBefore);
  double width = 0;
  if (found == std::string_view::npos) return 0;
  const char* begin = svg.data() + found + kBefore.size();
  std::from_chars(begin, svg.data() + svg.size(), width);
  return width;
}

/// How many rows from `first` on are under one head.
size_t rows_under_head(const ReportTable& table, size_t first) {
  size_t end = first + 1;
  while (end < table.rows.size() && table.rows[end].continues) ++end;
  return end - first;
}

class Page {
 public:
  explicit Page(const ReportContent& content) : content_(content) {}

  std::string draw() {
    add_head();
    add_header();
    add("<main>\n");
    add_values();
    add_subtasks();
    add_reliability();
    add_speed();
    add_maps();
    add_notes();
    add("</main>\n</body>\n</html>\n");
    return std::move(page_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    page_ += fmt::format(format, std::forward<Args>(args)...);
  }

  void add_head() {
    // The policy is a second lock: should markup ever get through, it can load and run nothing.
    add("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" "
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<title>{}</title>\n<style>{}{}</style>\n</head>\n<body>\n",
        html_text(content_.title), kReportStyle, kPictureStyle);
  }

  void add_header() {
    add("<header>\n<p class=\"kicker\">evo evaluation</p>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n",
        html_text(content_.title), html_text(content_.summary));
    add("<nav aria-label=\"Sections\"><ul>\n");
    add_link("tasks", "Tasks", true);
    add_link("subtasks", "Subtasks", !content_.subtasks.empty());
    add_link("reliability", "Reliability", !content_.reliability.empty());
    add_link("speed", "Speed and quality", !content_.speed.empty());
    add_link("maps", "How texts came into being", !content_.traces.empty());
    add_link("notes", "Notes and sources", true);
    add("</ul></nav>\n");
    add_table(content_.settings, "facts");
    add("</header>\n");
  }

  void add_link(const char* section, const char* title, bool there) {
    if (there) add("<li><a href=\"#{}\">{}</a></li>\n", section, title);
  }

  void add_section(const char* name, const char* title) {
    add("<section aria-labelledby=\"{0}\">\n<h2 id=\"{0}\">{1}</h2>\n", name, title);
  }

  void add_values() {
    add_section("tasks", "Tasks");
    add_legend();
    for (const ValuePicture& picture : content_.value_pictures) {
      add("<figure>\n<figcaption><strong>{}</strong>, with 95% intervals{}</figcaption>\n",
          html_text(picture.title), picture.percent ? ", in percent" : "");
      add("{}</figure>\n", value_picture_svg(picture));
    }
    add_table(content_.values, "values");
    add("</section>\n");
  }

  void add_legend() {
    const bool chance = std::ranges::any_of(content_.value_pictures, [](const auto& picture) {
      return std::ranges::any_of(picture.rows, [](const auto& row) { return row.chance > 0; });
    });
    if (!chance && content_.labels.size() == 1) return;
    add("<ul class=\"legend\">\n");
    for (size_t run = 0; run < content_.labels.size(); ++run) {
      add("<li>{}{}</li>\n", run_mark_picture(run), html_text(content_.labels[run]));
    }
    if (chance) {
      add("<li><svg class=\"chance-sign\" viewBox=\"0 0 6 14\" aria-hidden=\"true\">"
          "<path d=\"M3,0V14\"/></svg>chance</li>\n");
    }
    add("</ul>\n");
  }

  void add_subtasks() {
    if (content_.subtasks.empty()) return;
    add_section("subtasks", "Subtasks");
    for (const ReportTable& table : content_.subtasks) add_details(table, "values");
    add("</section>\n");
  }

  void add_reliability() {
    if (content_.reliability.empty()) return;
    add_section("reliability", "Reliability");
    add("<p>On the dashed line a probability means what it says; below it the model is too sure. "
        "Bars: how many predictions there are of each size.</p>\n");
    const std::span<const ReliabilityPicture> all = content_.reliability;
    if (content_.labels.size() == 1) add_diagrams(all);
    for (size_t first = 0; content_.labels.size() > 1 && first < all.size();) {
      size_t end = first + 1;
      while (end < all.size() && all[end].task == all[first].task) ++end;
      add("<details{}>\n<summary>{}</summary>\n", end <= kOpenPictures ? " open" : "",
          html_text(all[first].task));
      add_diagrams(all.subspan(first, end - first));
      add("</details>\n");
      first = end;
    }
    add("</section>\n");
  }

  void add_diagrams(std::span<const ReliabilityPicture> pictures) {
    add("<div class=\"grid-of\">\n");
    for (const ReliabilityPicture& picture : pictures) {
      add("<figure>\n<figcaption><strong>{}</strong><br>{}</figcaption>\n{}</figure>\n",
          html_text(picture.task), html_text(reliability_caption(content_, picture)),
          reliability_picture_svg(picture));
    }
    add("</div>\n<div class=\"numbers\">\n");
    for (const ReliabilityPicture& picture : pictures) {
      add_details(reliability_table(content_, picture), "bins");
    }
    add("</div>\n");
  }

  void add_speed() {
    if (content_.speed.empty()) return;
    add_section("speed", "Speed and quality");
    add("<p>The same model with several settings of decoding: further to the right it needs fewer "
        "passes for a text.</p>\n<div class=\"grid-of\">\n");
    for (const SpeedPicture& picture : content_.speed) {
      add("<figure>\n<figcaption><strong>{}</strong><br>{}</figcaption>\n{}</figure>\n",
          html_text(picture.task), html_text(picture.model), speed_picture_svg(picture));
    }
    add("</div>\n<div class=\"numbers\">\n");
    for (const SpeedPicture& picture : content_.speed) add_details(speed_table(picture), "bins");
    add("</div>\n</section>\n");
  }

  void add_maps() {
    if (content_.traces.empty()) return;
    add_section("maps", "How texts came into being");
    add("<p>The first generated text of each task: tokens from left to right, passes of the "
        "network downwards.</p>\n");
    for (const TraceReference& trace : content_.traces) add_map(trace);
    add("</section>\n");
  }

  /// A trace that cannot be read is no reason to go without the rest.
  void add_map(const TraceReference& trace) {
    add("<details>\n<summary>{}, {}</summary>\n", html_text(trace.task),
        html_text(content_.labels[trace.run]));
    try {
      const std::string map = decode::maturity_map_svg(decode::read_trace(trace.path));
      add("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Maturity map\">\n"
          "<div class=\"map\" style=\"width:{:.0f}px\">\n{}</div></div>\n",
          picture_width(map), map);
    } catch (const Error& error) {
      add("<p>No map: {}</p>\n", html_text(error.what()));
    }
    add("</details>\n");
  }

  void add_notes() {
    add_section("notes", "Notes and sources");
    add("<ul class=\"notes\">\n");
    for (const std::string& note : content_.notes) add("<li>{}</li>\n", html_text(note));
    add("</ul>\n");
    add_table(content_.sources, "facts");
    add("</section>\n");
  }

  /// The caption is what opens the table.
  void add_details(const ReportTable& table, std::string_view css) {
    add("<details>\n<summary>{}</summary>\n", html_text(table.caption));
    add_table(table, css);
    add("</details>\n");
  }

  void add_table(const ReportTable& table, std::string_view css) {
    const std::string caption = html_text(table.caption);
    add("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">\n"
        "<table class=\"{}\">\n<caption>{}</caption>\n<thead><tr>\n",
        caption, css, caption);
    for (const ReportTable::Column& column : table.columns) {
      add("<th scope=\"col\"{}>{}</th>\n", column.numeric ? " class=\"num\"" : "",
          html_text(column.title));
    }
    add("</tr></thead>\n");
    for (size_t first = 0; first < table.rows.size();) {
      const size_t rows = rows_under_head(table, first);
      add("<tbody>\n");
      for (size_t i = first; i < first + rows; ++i) add_row(table, i, i == first ? rows : 0);
      add("</tbody>\n");
      first += rows;
    }
    add("</table>\n</div>\n");
  }

  /// `rows`: how many the head is that of; 0: it was written.
  void add_row(const ReportTable& table, size_t at, size_t rows) {
    const ReportRow& row = table.rows[at];
    add("<tr>");
    if (rows == 1) add("<th scope=\"row\">{}</th>", cell_html(row.head));
    if (rows > 1) add("<th scope=\"rowgroup\" rowspan=\"{}\">{}</th>", rows, cell_html(row.head));
    for (size_t i = 0; i < row.cells.size(); ++i) {
      add("<td{}>{}</td>", table.columns[i + 1].numeric ? " class=\"num\"" : "",
          cell_html(row.cells[i]));
    }
    add("</tr>\n");
  }

  static std::string cell_html(const ReportCell& cell) {
    if (cell.detail.empty()) return html_text(cell.text);
    return fmt::format("{} <span class=\"detail{}\">{}</span>", html_text(cell.text),
                       tone_css(cell.tone), html_text(cell.detail));
  }

  const ReportContent& content_;
  std::string page_;
};

}  // namespace

std::string report_html(std::span<const EvalRun> runs) {
  const ReportContent content = report_content(runs);
  return Page(content).draw();
}

}  // namespace evo::eval
