// What somebody probably meant who wrote a name that does not exist.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace evo {

/// How many characters must be inserted, removed, replaced, or exchanged with their neighbour to
/// make `b` of `a`; no character is changed twice ("optimal string alignment").
[[nodiscard]] size_t edit_distance(std::string_view a, std::string_view b);

/// The name among `known` that is nearest to `name`, whatever its case and the dashes before it;
/// empty if none is near: more than a third of the characters are wrong and none, or more than one,
/// goes on from `name`.
[[nodiscard]] std::string closest_name(std::string_view name,
                                       const std::vector<std::string>& known);

/// "; did you mean 'NAME'?" for the end of an error message, or nothing if no name is near.
[[nodiscard]] std::string did_you_mean(std::string_view name,
                                       const std::vector<std::string>& known);

}  // namespace evo
