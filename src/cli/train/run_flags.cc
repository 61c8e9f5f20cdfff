#include "cli/train/run_flags.h"

#include <CLI/CLI.hpp>

#include "cli/number_range.h"
#include "cli/options.h"

namespace evo::cli {

void add_run_options(CLI::App& command, RunFlags& flags) {
  TrainRequest& request = flags.request;
  command.add_option("--set", flags.settings.set, "key=value: change one setting; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command
      .add_option("--data", request.data,
                  "text files, where documents end at lines <|endoftext|>, or .jsonl; "
                  "compressed ones (.xz, .zst, .gz) too; or folders of such files. Or folders that "
                  "`evo tokenizer shard` "
                  "made: FOLDER=WEIGHT for each sets the shares in which they are mixed")
      ->required();
  command.add_option("--text-field", request.text_field, "where .jsonl has its texts")
      ->capture_default_str();
  command.add_option("--out", request.out, "folder for model, metrics and checkpoints")->required();
  command.add_option("--steps", flags.settings.steps, "optimizer steps")
      ->check(number(int64_t{0}, kLargestCount));
  command
      .add_option("--minutes", flags.settings.minutes,
                  "train for this long; with --steps: at most this long")
      ->check(number(0.0, kLongestMinutes));
  command.add_option("--seed", flags.settings.seed, "seed of everything random")
      ->check(any_seed<int64_t>());
  command.add_option("--threads", flags.threads, kThreadsHelp);
  command.add_option_function<std::string>(
      "--memory",
      [&request](const std::string& text) { request.memory = parse_amount("--memory", text); },
      "bytes to stay below, such as 8G: a step is computed in parts if it has to be; default: what "
      "can be had");
  command.add_option("--precision", flags.precision, "of matrix products: auto, f32 or bf16");
  command.add_flag("--resume", request.resume, "continue the run in --out, bit for bit");
  command.add_flag("--skip-bad-shards", request.skip_bad_shards,
                   "go without shards that are damaged or missing, and say which");
  command.add_flag("--quiet", request.quiet, "no progress, no samples");
  command.add_flag("--json", flags.json, "print a JSON summary on stdout");
}

}  // namespace evo::cli
