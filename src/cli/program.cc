#include "cli/program.h"

#include <CLI/CLI.hpp>
#include <new>

#include "base/denormals.h"
#include "base/error.h"
#include "base/interrupt.h"

namespace evo {

int run_program(int argc, char** argv) {
  CLI::App app(
      "Evo: autoregressive-diffusion language models. Trains, generates and evaluates.\n"
      "Start with:  evo demo");
  app.name("evo");
  app.require_subcommand(1);
  app.set_version_flag("--version", "evo 0.1.0");
  Action action;
  add_demo_command(app, action);
  add_train_command(app, action);
  add_generate_command(app, action);
  add_eval_command(app, action);
  add_info_command(app, action);
  add_bench_command(app, action);
  add_tokenizer_command(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    catch_interrupts();
    action();
    return 0;
  } catch (const UsageError& error) {
    fmt::print(stderr, "evo: {}\n", error.what());
    return 2;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "evo: out of memory: use a smaller model, batch or sequence\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "evo: {}\n", error.what());
  }
  return 1;
}

}  // namespace evo
