#include "eval/tasks/parts.h"

#include "eval/sandbox.h"

namespace evo::eval {

double program_score(const std::string& program) {
  SandboxLimits limits;
  limits.cpu_seconds = 3;
  limits.wall_seconds = 30;
  return run_python(program, limits).passed ? 1.0 : 0.0;
}

}  // namespace evo::eval
