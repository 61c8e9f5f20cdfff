// How long a decoding pass takes by the number of its rows: the first is the token committed last,
// half of the others are drafts, the rest a window of evolving tokens. See --help.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>

#include "base/random.h"
#include "base/threads/parallel.h"
#include "bench_main.h"
#include "model/model.h"
#include "ops/head.h"

namespace evo {
namespace {

struct Options {
  std::vector<std::string> presets = {"7m", "30m", "124m"};
  std::vector<std::string> formats = {"f32", "bf16", "int8"};
  std::vector<std::string> caches = {"f32"};
  std::string model;
  std::vector<int64_t> rows = {1, 2, 4, 8, 12, 16, 24, 32};
  int64_t context = 128;
  double seconds = 2;
  int threads = 0;
  bool drafts_only = false, sequences = false;
};

ops::CacheFormat cache_format_of(const std::string& format) {
  if (format == "f32") return ops::CacheFormat::kF32;
  if (format == "bf16") return ops::CacheFormat::kBF16;
  if (format == "q8") return ops::CacheFormat::kQ8;
  throw UsageError(fmt::format("--caches {}: expected f32, bf16 or q8", format));
}

tensor::Precision precision_of(const std::string& format) {
  if (format == "f32") return tensor::Precision::kF32;
  if (format == "bf16") return tensor::Precision::kBF16;
  if (format == "int8") return tensor::Precision::kInt8;
  if (format == "q8") return tensor::Precision::kQ8;
  if (format == "q4") return tensor::Precision::kQ4;
  throw UsageError(fmt::format("--formats {}: expected f32, bf16, q8, q4 or int8", format));
}

/// A pass of `rows` rows behind `context` tokens, `evolving` of them a window.
model::ForwardInput pass_of(const model::Model& model, int64_t rows, int64_t evolving,
                            int64_t context) {
  model::ForwardInput input;
  const auto n = static_cast<int32_t>(rows), first = static_cast<int32_t>(rows - evolving);
  const auto before = static_cast<int32_t>(context);
  for (int32_t r = 0; r < n; ++r) {
    input.positions.push_back(before + r);
    if (r < first) input.ids.push_back(r % 7);
    input.ranges.push_back(r < first ? ops::KeyRange{0, before + r + 1, 0, 0}
                                     : ops::KeyRange{0, before + first, first, n});
  }
  if (evolving == 0) return input;
  input.z = tensor::Tensor::empty({evolving, model.config().code_size});
  Random(1).fill_normal(input.z.values());
  input.previous_x = tensor::Tensor::zeros(input.z.shape());
  input.times.assign(evolving, 1.0f);
  return input;
}

/// The same, each row a text of its own.
model::ForwardInput pass_of_texts(int64_t rows, int64_t context) {
  model::ForwardInput input;
  const auto before = static_cast<int32_t>(context);
  for (int32_t r = 0; r < static_cast<int32_t>(rows); ++r) {
    input.ids.push_back(r % 7);
    input.positions.push_back(before);
    input.ranges.push_back({0, before + 1, 0, 0});
    input.sequences.push_back(r);
  }
  return input;
}

double seconds_of_pass(const model::Model& model, std::span<model::KvCache* const> caches,
                       const model::ForwardInput& input, int64_t context) {
  using Clock = std::chrono::steady_clock;
  for (model::KvCache* cache : caches) cache->truncate(context);
  const auto start = Clock::now();
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = model.forward(tape, input, caches);
  (void)ops::head_logits(tape, h, 0, input.mature(), model.unembedding(), nullptr);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Texts of `context` tokens in one format of the cache, and passes behind them.
struct Context {
  Context(const model::Model& model, std::string format, const Options& options)
      : name(std::move(format)) {
    const int64_t longest = std::ranges::max(options.rows), texts = options.sequences ? longest : 1;
    for (int64_t t = 0; t < texts; ++t) {
      caches.emplace_back(model.config(), options.context + longest, cache_format_of(name));
      tensor::Tape tape(tensor::Tape::Mode::kInference);
      (void)model.forward(tape, pass_of(model, options.context, 0, 0), &caches.back());
    }
    for (model::KvCache& cache : caches) pointers.push_back(&cache);
    times.resize(options.rows.size());
  }

  [[nodiscard]] double median(size_t i) {
    std::ranges::nth_element(times[i], times[i].begin() + std::ssize(times[i]) / 2);
    return times[i][times[i].size() / 2];
  }

  std::string name;
  std::vector<model::KvCache> caches;
  std::vector<model::KvCache*> pointers;
  std::vector<std::vector<double>> times;  // by number of rows
};

model::Model model_of(const std::string& preset, const std::string& format,
                      const Options& options) {
  if (!options.model.empty()) {
    return model::Model::load_packed(options.model, precision_of(format));
  }
  model::Model model(model::ModelConfig::preset(preset), false);
  model.initialize(1);
  model.pack(precision_of(format));
  return model;
}

void report(const std::string& preset, const std::string& format, const Options& options) {
  const model::Model model = model_of(preset, format, options);
  std::vector<Context> contexts;
  for (const std::string& cache : options.caches) contexts.emplace_back(model, cache, options);
  std::vector<model::ForwardInput> inputs;
  for (const int64_t rows : options.rows) {
    inputs.push_back(options.sequences ? pass_of_texts(rows, options.context)
                                       : pass_of(model, rows, options.drafts_only ? 0 : rows / 2,
                                                 options.context));
  }
  // In turns, so that a change of the machine's speed falls on all of them.
  double spent = 0;
  const double seconds = options.seconds * static_cast<double>(inputs.size() * contexts.size());
  while (spent < seconds || contexts[0].times[0].size() < 5) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      for (Context& context : contexts) {
        const size_t texts = options.sequences ? static_cast<size_t>(options.rows[i]) : 1;
        const auto caches = std::span(context.pointers).first(texts);
        context.times[i].push_back(seconds_of_pass(model, caches, inputs[i], options.context));
        spent += context.times[i].back();
      }
    }
  }
  for (Context& context : contexts) {
    const double one = context.median(0);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const double median = context.median(i);
      fmt::print(
          "{:5} {:5} cache {:5} rows {:3} {:9.3f} ms  x {:5.2f} of {} row  {:6.3f} ms a row\n",
          preset, format, context.name, options.rows[i], 1e3 * median, median / one,
          options.rows[0], 1e3 * median / static_cast<double>(options.rows[i]));
    }
  }
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Whole passes of decoding, random weights: time by number of rows");
  app.add_option("--presets", options.presets, "shapes")->delimiter(',');
  app.add_option("--model", options.model, "a model folder instead of presets");
  app.add_option("--formats", options.formats, "f32, bf16, q8, q4, int8")->delimiter(',');
  app.add_option("--caches", options.caches, "of keys and values: f32, bf16, q8")->delimiter(',');
  app.add_option("--rows", options.rows, "rows of a pass")->delimiter(',');
  app.add_option("--context", options.context, "tokens before it");
  app.add_option("--seconds", options.seconds, "time for a number of rows");
  app.add_option("--threads", options.threads, "default: all cores");
  app.add_flag("--drafts-only", options.drafts_only, "no window: all rows are mature");
  app.add_flag("--sequences", options.sequences, "every row is mature, of a text of its own");
  CLI11_PARSE(app, argc, argv);
  if (options.threads > 0) set_threads(options.threads);
  if (!options.model.empty()) options.presets = {"model"};
  for (const std::string& preset : options.presets) {
    for (const std::string& format : options.formats) report(preset, format, options);
  }
  return 0;
}

}  // namespace
}  // namespace evo

int main(int argc, char** argv) {
  return evo::bench_main(argc, argv, evo::run);
}
