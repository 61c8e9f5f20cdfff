// The pictures of a report: SVG elements within an HTML page, whose style sheet colours them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "eval/report/content.h"

namespace evo::eval {

/// Runs beyond these share a colour with an earlier one, not its shape.
inline constexpr size_t kRunColours = 6;

/// The sign by which a run is known in all pictures, at the origin: shape and colour differ, so
/// that neither is needed.
[[nodiscard]] std::string run_mark(size_t run);
/// That sign as a picture by itself, for legends.
[[nodiscard]] std::string run_mark_picture(size_t run);

/// As wide as its place: a strip for each task, with value, interval and chance.
[[nodiscard]] std::string value_picture_svg(const ValuePicture& picture);
/// What was observed against what was predicted, and how often.
[[nodiscard]] std::string reliability_picture_svg(const ReliabilityPicture& picture);
/// Values against tokens per forward pass.
[[nodiscard]] std::string speed_picture_svg(const SpeedPicture& picture);

/// The style sheet of these pictures, in the colours of the page: --ink, --muted, --line, --paper
/// and --run0 .. --run5.
extern const std::string_view kPictureStyle;

}  // namespace evo::eval
