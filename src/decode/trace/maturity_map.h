// A picture of how a text came into being.
#pragma once

#include <string>

#include "decode/trace/trace.h"

namespace evo::decode {

/// An SVG document: tokens from left to right, passes downwards. A cell is a token in a pass,
/// coloured by how settled it was: in diffusion mode by t, elsewhere, where t is always 1, by
/// maturity. Cells of tokens that the pass committed have a dark border (no colour: nobody had
/// drafted it), drafts that the next pass rejected a cross. At most 200 tokens and 200 passes; a
/// longer trace is cut, and the picture says so. Browsers show what was known about a cell when the
/// pointer is on it.
[[nodiscard]] std::string maturity_map_svg(const Trace& trace);

}  // namespace evo::decode
