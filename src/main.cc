#include "cli/program.h"

int main(int argc, char** argv) {
  return evo::run_program(argc, argv);
}
