// evo bench train
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "cli/options.h"
#include "cli/program.h"
#include "io/record.h"
#include "ops/optimizer.h"
#include "train/loss.h"

namespace evo {
namespace {

struct Flags {
  std::vector<std::string> presets = {"demo", "7m"};
  std::string precision = "auto";
  int64_t batch = 8, sequence = 256, steps = 7;
  bool ar_only = false, json = false;
  int threads = 0;
};

/// Median seconds of a training step (forward, backward, norm, AdamW) on random tokens.
double step_seconds(const ModelConfig& config, const Flags& flags, Precision precision) {
  Model model(config, true);
  model.initialize(1);
  const ParameterStore& store = model.parameters();
  std::vector<float> first(store.values().size()), second(store.values().size());
  std::vector<double> seconds;
  for (int64_t step = 0; step <= flags.steps; ++step) {
    Random random(1, stream_id({static_cast<uint64_t>(step)}));
    std::vector<int32_t> texts(static_cast<size_t>(flags.batch * (flags.sequence + 1)));
    for (int32_t& id : texts)
      id = static_cast<int32_t>(random.below(static_cast<uint64_t>(config.vocab_size)));
    TrainingBatch batch = TrainingBatch::from_texts(texts, flags.batch);
    if (config.flow) {
      batch.plan = sample_blocks(TrainConfig{}, flags.batch, flags.sequence,
                                 model.time().min_time(), random);
    }
    const auto start = std::chrono::steady_clock::now();
    store.zero_gradients();
    Tape tape(Tape::Mode::kTraining, precision);
    training_loss(tape, model, batch, {0.5, 0.5, 0.1, HeadLosses::CodeGradient::kCrossEntropy});
    tape.backward();
    const double norm = std::sqrt(sum_of_squares(store.gradients()));
    AdamwStep update{
        3e-4f, 0.9f, 0.95f, 1e-8f, 0.1f, step + 1, static_cast<float>(1 / std::max(1.0, norm))};
    adamw(store.values(), store.gradients(), first, second, update);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (step > 0) seconds.push_back(took.count());  // the first makes the primitives
  }
  std::ranges::nth_element(seconds,
                           seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2));
  return seconds[seconds.size() / 2];
}

double peak_rss_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

void run(const Flags& flags) {
  use_threads(flags.threads);
  const Precision precision = parse_precision(flags.precision);
  const double peak = measure_matmul_peak(precision, 1.0);
  std::vector<Record> rows;
  for (const std::string& preset : flags.presets) {
    ModelConfig config = ModelConfig::preset(preset);
    config.flow = !flags.ar_only;
    const double tokens = static_cast<double>(flags.batch * flags.sequence);
    const double rate = tokens / step_seconds(config, flags, precision);
    const ModelCost cost = model_cost(config, flags.sequence);
    Record row;
    row.set("preset", preset).set("parameters", cost.backbone_parameters + cost.flow_parameters);
    row.set("flow", config.flow).set("precision", precision_name(precision));
    row.set("tokens_per_second", rate);
    row.set("gemm_peak_fraction", rate * cost.training_flops_per_token * 1e-9 / peak);
    row.set("gemm_peak_gflops", peak).set("peak_rss_mb", peak_rss_mb());
    // PyTorch runs outside: reference/train_bench.py times the same step.
    row.set("peer", "none measured in this run: see reference/train_bench.py");
    rows.push_back(row);
    if (!flags.json) {
      fmt::print("{:<6} {} {}  {:.0f} tokens/s  {:.0f}% of the {:.0f} GFLOP/s peak  {:.0f} MB\n",
                 preset, config.flow ? "two-stream" : "AR only", precision_name(precision), rate,
                 100 * row.get_double("gemm_peak_fraction"), peak, row.get_double("peak_rss_mb"));
    }
  }
  if (flags.json) fmt::print("{}\n", Record().set("rows", rows).dump());
}

}  // namespace

void add_bench_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* bench = app.add_subcommand("bench", "Measure speed");
  bench->require_subcommand(1);
  CLI::App* command =
      bench->add_subcommand("train", "Training steps on random tokens, against the machine's peak");
  command->add_option("--presets", flags->presets, "shapes, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--batch", flags->batch, "sequences")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--sequence", flags->sequence, "tokens per sequence")
      ->check(CLI::Range(2, 65536))
      ->capture_default_str();
  command->add_option("--steps", flags->steps, "timed steps; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--ar-only", flags->ar_only, "without the evolving stream");
  command->add_option("--precision", flags->precision, "auto, f32 or bf16");
  command->add_option("--threads", flags->threads, "threads; default: all cores");
  command->add_flag("--json", flags->json, "print one JSON object on stdout");
  command->callback([flags, &action] { action = [flags] { run(*flags); }; });
}

}  // namespace evo
