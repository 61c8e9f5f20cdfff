// What the measuring programs of this folder share.
#pragma once

#include <fmt/format.h>

#include "base/error.h"

namespace evo {

/// Runs `run`; an Error becomes a message and the exit status 1.
template <class Run>
int bench_main(int argc, char** argv, const Run& run) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

}  // namespace evo
