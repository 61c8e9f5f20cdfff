#include "eval/report/pictures.h"

#include <fmt/format.h>

#include <array>

namespace evo::eval {
namespace {

/// Signs of about equal weight around the origin: circle, square, diamond, triangles, cross.
constexpr std::array<const char*, 6> kMarks = {
    "M-4.6,0a4.6,4.6 0 1,0 9.2,0a4.6,4.6 0 1,0 -9.2,0Z",
    "M-4.1,-4.1H4.1V4.1H-4.1Z",
    "M0,-5.8L5.8,0L0,5.8L-5.8,0Z",
    "M0,-5.4L5.4,4.2H-5.4Z",
    "M0,5.4L5.4,-4.2H-5.4Z",
    "M-1.7,-5.2H1.7V-1.7H5.2V1.7H1.7V5.2H-1.7V1.7H-5.2V-1.7H-1.7Z",
};

}  // namespace

const std::string_view kPictureStyle = R"(
.pic{display:block;width:100%;overflow:visible}
.pic .paper{fill:none}
.pic text{font:12.5px/1 system-ui,sans-serif;fill:var(--ink);font-variant-numeric:tabular-nums}
.pic .name{font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:5px}
.pic .tick,.pic .number{fill:var(--muted);font-size:11.5px;paint-order:stroke;stroke:var(--paper);stroke-width:4px}
.pic .count{fill:var(--muted);font-size:9.5px}
.pic .label{fill:var(--muted)}
.pic .point{font-size:11.5px;paint-order:stroke;stroke:var(--paper);stroke-width:4px}
.pic .grid{stroke:var(--line);fill:none}
.pic .axis{stroke:var(--muted);fill:none}
.pic .chance{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:2 2.5;fill:none}
.pic .ideal{stroke:var(--muted);stroke-dasharray:4 4;fill:none}
.pic .bar{fill:var(--bar)}
.pic .interval{stroke:currentColor;stroke-width:2;fill:none}
.pic .through{stroke:currentColor;stroke-width:1.2;fill:none;opacity:.55}
.mark{fill:currentColor;stroke:var(--paper);stroke-width:1;paint-order:stroke}
.run0{color:var(--run0)}.run1{color:var(--run1)}.run2{color:var(--run2)}
.run3{color:var(--run3)}.run4{color:var(--run4)}.run5{color:var(--run5)}
svg.sign{width:.9em;height:.9em;vertical-align:-.06em;margin-right:.35em;overflow:visible}
)";

std::string run_mark(size_t run) {
  const size_t shape = (run + run / kRunColours) % kMarks.size();
  return fmt::format("<path class=\"mark run{}\" d=\"{}\"/>", run % kRunColours, kMarks[shape]);
}

std::string run_mark_picture(size_t run) {
  return fmt::format("<svg class=\"sign\" viewBox=\"-6 -6 12 12\" aria-hidden=\"true\">{}</svg>",
                     run_mark(run));
}

}  // namespace evo::eval
