// Denormal numbers: smaller than 1e-38, and up to a hundred times slower than others.
#pragma once

namespace evo {

/// Makes arithmetic treat denormal f32 as zero, in this thread and in threads that it starts later.
/// Softmax makes many of them: an almost certain token leaves the rest of the vocabulary there, and
/// the products of such gradients are slower for it (docs/log.md).
void flush_denormals();

/// How this thread rounds and treats denormals, as its processor has it.
[[nodiscard]] unsigned floating_point_modes();
void set_floating_point_modes(unsigned modes);

}  // namespace evo
