// evo convert
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/log.h"
#include "base/progress.h"
#include "cli/program.h"
#include "io/files.h"
#include "model/model.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string model, out, weights = "bf16";
};

void run(const Flags& flags) {
  if (fs::exists(flags.out) && !fs::is_empty(flags.out)) {
    fail("{}: expected a new or empty folder to write to, found something in it", flags.out);
  }
  const Model model = Model::load(flags.model);
  model.save(flags.out, flags.weights == "bf16" ? "BF16" : "F32");
  for (const char* name : {"tokenizer.json", "generation_config.json"}) {
    const fs::path from = fs::path(flags.model) / name;
    if (!fs::exists(from)) continue;
    write_atomically(fs::path(flags.out) / name, read_file(from, int64_t{1} << 30));
  }
  const auto bytes = fs::file_size(fs::path(flags.out) / "model.safetensors");
  log_info("{}: weights in {}, {}", flags.out, flags.weights,
           format_bytes(static_cast<double>(bytes)));
}

}  // namespace

void add_convert_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("convert", "Write a model folder with weights in another number format");
  command->add_option("model", flags->model, "model folder")->required();
  command->add_option("out", flags->out, "folder to write, new or empty")->required();
  command->add_option("--weights", flags->weights, "bf16: half the size; f32")
      ->check(CLI::IsMember({"bf16", "f32"}))
      ->capture_default_str();
  command->callback([flags, &action] { action = [flags] { run(*flags); }; });
}

}  // namespace evo
