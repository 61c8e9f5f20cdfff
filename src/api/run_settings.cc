#include "api/run_settings.h"

#include "json/fields.h"

namespace evo {

void RunSettings::apply(train::RunConfig& config) const {
  for (const std::string& assignment : set) json::assign_field(config, assignment);
  if (minutes) {
    config.minutes = *minutes;
    config.steps = 0;
  }
  if (steps) config.steps = *steps;
  if (seed) config.seed = *seed;
}

}  // namespace evo
