#include "cli/program.h"

int main(int argc, char** argv) {
  return evo::cli::run_program(argc, argv);
}
