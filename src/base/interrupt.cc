#include "base/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace evo {
namespace {

volatile std::sig_atomic_t signals_seen = 0;

extern "C" void on_signal(int) {
  if (signals_seen) _exit(130);
  signals_seen = 1;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);  // a terminal that was lost
}

bool interrupted() {
  return signals_seen != 0;
}

}  // namespace evo
