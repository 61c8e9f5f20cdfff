#include "cli/bench/bench_measure.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>

#include "base/process/watcher.h"
#include "cli/options.h"
#include "model/layout.h"
#include "ops/machine.h"
#include "ops/optimizer.h"
#include "train/loss/loss.h"

namespace evo::cli {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

namespace {

constexpr double kPeakSeconds = 0.3;
enum BenchStream : uint64_t { kTexts = 1, kBlocks, kNoise };

double own_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// CPU seconds of all processes since the machine started, less our own; NaN without /proc/stat.
double others_cpu_seconds() {
  std::ifstream file("/proc/stat");
  std::string name;
  double user = NAN, nice = NAN, system = NAN, idle = 0, waiting = 0, irq = 0, soft = 0, stolen = 0;
  file >> name >> user >> nice >> system >> idle >> waiting >> irq >> soft >> stolen;
  const double ticks = user + nice + system + irq + soft + stolen;
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK)) - own_cpu_seconds();
}

/// How many cores other processes used since this was made; NaN where the system does not tell.
class OtherCores {
 public:
  OtherCores() : start_(now()), others_(others_cpu_seconds()) {}
  [[nodiscard]] double mean() const {
    const double used = (others_cpu_seconds() - others_) / (now() - start_);
    return used < 0 ? 0 : used;  // the kernel counts in hundredths of a second; NaN stays
  }

 private:
  double start_, others_;  // seconds
};

/// A model in training, with an optimizer but without averaging or self-conditioning.
class Training {
 public:
  explicit Training(const BenchCase& work)
      : work_(work),
        model_(work.config(), true),
        first_moment_(model_.parameters().values().size()),
        second_moment_(model_.parameters().values().size()) {
    model_.initialize(1);
  }

  [[nodiscard]] train::TrainingBatch make_batch(int64_t index) const {
    const auto id = static_cast<uint64_t>(index);
    Random random(1, stream_id({kTexts, id}));
    std::vector<int32_t> texts(static_cast<size_t>(work_.batch * (work_.sequence + 1)));
    const auto vocabulary = static_cast<uint64_t>(model_.config().vocab_size);
    for (int32_t& token : texts) token = static_cast<int32_t>(random.below(vocabulary));
    train::TrainingBatch batch = train::TrainingBatch::from_texts(texts, work_.batch);
    if (work_.ar_only) return batch;
    Random blocks(1, stream_id({kBlocks, id}));
    batch.plan = train::elbo_blocks(work_.batch, work_.sequence, work_.block,
                                    model_.time().min_time(), blocks);
    batch.stream = stream_id({kNoise, id});
    return batch;
  }

  /// The loss before the step.
  double step(const train::TrainingBatch& batch) {
    const model::ParameterStore& store = model_.parameters();
    store.zero_gradients();
    tensor::Tape tape(tensor::Tape::Mode::kTraining, work_.precision);
    const train::LossWeights weights{0.5, 0.5, 0.1, ops::HeadLosses::CodeGradient::kCrossEntropy};
    const train::LossReport loss = train::training_loss(tape, model_, batch, weights);
    tape.backward();
    const double norm = std::sqrt(ops::sum_of_squares(store.gradients()));
    ops::AdamwStep update{
        3e-4f, 0.9f, 0.95f, 1e-8f, 0.1f, ++steps_, static_cast<float>(1 / std::max(1.0, norm))};
    ops::adamw(store.values(), store.gradients(), first_moment_, second_moment_, update);
    return loss.total;
  }

 private:
  BenchCase work_;
  model::Model model_;
  std::vector<float> first_moment_, second_moment_;
  int64_t steps_ = 0;
};

struct Timing {
  double step_seconds = 0, other_cores = 0, loss = 0;
};

Timing time_steps(const BenchCase& work) {
  Training training(work);
  std::vector<double> seconds;
  OtherCores others;
  double loss = 0;
  const int64_t count = work.warm_up + work.steps;
  for (int64_t i = 0; i < count; ++i) {
    if (interrupted()) fail_interrupted("interrupted");
    if (i == work.warm_up) others = OtherCores();
    const train::TrainingBatch batch = training.make_batch(i);
    const double start = now();
    loss = training.step(batch);
    if (i >= work.warm_up) seconds.push_back(now() - start);
    if (!std::isfinite(loss)) fail("step {}: the loss is {}", i, loss);
    fmt::print(stderr, "step {} of {}\n", i + 1, count);
  }
  return {median(seconds), others.mean(), loss};
}

double peak_rss_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

}  // namespace

void BenchCase::append_common_flags(std::vector<std::string>& words) const {
  const auto add = [&](const char* flag, int64_t value) {
    words.insert(words.end(), {flag, std::to_string(value)});
  };
  add("--batch", batch);
  add("--block", block);
  add("--steps", steps);
  add("--warm-up", warm_up);
  add("--threads", threads);
  if (ar_only) words.emplace_back("--ar-only");
}

model::ModelConfig BenchCase::config() const {
  model::ModelConfig config = model::ModelConfig::preset(preset);
  config.flow = !ar_only;
  return config;
}

json::Record measure_training(const BenchCase& work) {
  const double peak_before = ops::measure_matmul_peak(work.precision, kPeakSeconds);
  tensor::trim_pool();  // its matrices would count as the model's memory
  const Timing timing = time_steps(work);
  const double memory = peak_rss_mb();
  const double peak = std::max(peak_before, ops::measure_matmul_peak(work.precision, kPeakSeconds));

  const model::ModelCost cost = model::model_cost(work.config(), work.sequence);
  const double rate = work.tokens_per_step() / timing.step_seconds;
  json::Record record;
  record.set("parameters", cost.parameters());
  record.set("tokens_per_second", rate);
  record.set("gemm_peak_fraction", rate * cost.training_flops_per_token * 1e-9 / peak);
  record.set("gemm_peak_gflops", peak).set("peak_rss_mb", memory);
  record.set("other_cores", timing.other_cores).set("loss", timing.loss);
  return record;
}

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

}  // namespace evo::cli
