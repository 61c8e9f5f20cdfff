#include "base/error.h"

#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace evo {

std::string errno_message(int error_number) {
  return std::generic_category().message(error_number);
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr,
               "%s:%d: internal check failed: %s\nThis is a bug in evo; please report it.\n", file,
               line, condition);
  std::abort();
}

}  // namespace evo
