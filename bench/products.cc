// How long a decoding pass spends on its products with the weights, y = x W^T, against what the
// memory allows. A pass of few rows reads every weight once, so its time should be that of reading
// them, whatever the number of rows. See --help.
#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <span>

#include "base/random.h"
#include "base/threads/parallel.h"
#include "bench_main.h"
#include "model/config.h"
#include "ops/cpu/matmul/matmul.h"
#include "ops/machine.h"
#include "ops/weight.h"

namespace evo {
namespace {

struct Options {
  std::vector<std::string> presets = {"7m", "124m"};
  std::vector<std::string> formats = {"f32", "bf16", "int8", "q8", "q4", "onednn"};
  std::vector<int64_t> rows = {1, 2, 4, 6, 8, 12, 16, 24, 32};
  std::vector<std::string> shapes;
  int64_t megabytes = 256;
  double seconds = 2;
  int threads = 0;
};

struct Shape {
  std::string name;
  int64_t out, in;
};

std::vector<Shape> shapes_of(const std::string& preset) {
  const model::ModelConfig c = model::ModelConfig::preset(preset);
  const int64_t hidden = c.hidden_size, heads = c.num_attention_heads * c.head_dim;
  return {{preset + " qkv", heads + 2 * c.num_key_value_heads * c.head_dim, hidden},
          {preset + " out", hidden, heads},
          {preset + " gate_up", 2 * c.intermediate_size, hidden},
          {preset + " down", hidden, c.intermediate_size},
          {preset + " unembed", c.vocab_size, hidden}};
}

std::vector<float> random_values(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  Random(1).fill_normal(values);
  return values;
}

/// Copies of one weight, so many that together they are too large for the caches.
struct Subject {
  std::function<void(int64_t copy, const float* x, int64_t rows, float* y)> multiply;
  double bytes = 0;  ///< of one copy
  int64_t copies = 1;
};

int64_t copies_for(double bytes, int64_t megabytes) {
  return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(megabytes) * 1e6 / bytes));
}

/// What training uses: the plain matrix and oneDNN.
Subject plain_matrix(const Shape& shape, int64_t megabytes) {
  Subject subject;
  subject.bytes = static_cast<double>(shape.out * shape.in) * sizeof(float);
  subject.copies = copies_for(subject.bytes, megabytes);
  const auto weights =
      std::make_shared<std::vector<float>>(random_values(shape.out * shape.in * subject.copies));
  subject.multiply = [=](int64_t copy, const float* x, int64_t rows, float* y) {
    const float* w = weights->data() + copy * shape.out * shape.in;
    ops::matmul(ops::matrix(x, rows, shape.in), ops::matrix(w, shape.out, shape.in).transposed(), y,
                shape.out, false, tensor::Precision::kF32);
  };
  return subject;
}

Subject packed(const Shape& shape, tensor::Precision precision, int64_t megabytes) {
  const std::vector<float> w = random_values(shape.out * shape.in);
  const auto copy = [&] { return ops::pack_weight(w.data(), shape.out, shape.in, precision); };
  const auto weights = std::make_shared<std::vector<std::shared_ptr<const ops::PackedWeight>>>();
  weights->push_back(copy());
  Subject subject;
  subject.bytes = static_cast<double>(weights->front()->bytes());
  subject.copies = copies_for(subject.bytes, megabytes);
  while (static_cast<int64_t>(weights->size()) < subject.copies) weights->push_back(copy());
  subject.multiply = [=](int64_t index, const float* x, int64_t rows, float* y) {
    (*weights)[index]->multiply(x, rows, y);
  };
  return subject;
}

Subject subject_of(const std::string& format, const Shape& shape, int64_t megabytes) {
  if (format == "onednn") return plain_matrix(shape, megabytes);
  if (format == "f32") return packed(shape, tensor::Precision::kF32, megabytes);
  if (format == "bf16") return packed(shape, tensor::Precision::kBF16, megabytes);
  if (format == "int8") return packed(shape, tensor::Precision::kInt8, megabytes);
  if (format == "q8") return packed(shape, tensor::Precision::kQ8, megabytes);
  if (format == "q4") return packed(shape, tensor::Precision::kQ4, megabytes);
  throw UsageError(fmt::format("--formats {}: expected f32, bf16, int8, q8, q4 or onednn", format));
}

double now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

/// As many pieces as a subject has copies, of the same size, read with all threads: the limit.
class StreamRead {
 public:
  explicit StreamRead(const Subject& subject)
      : piece_(static_cast<int64_t>(subject.bytes / 8)),
        words_(static_cast<size_t>(piece_ * subject.copies), 1) {}

  void run(int64_t piece) const {
    ops::read_ones(std::span(words_).subspan(piece * piece_, piece_));
  }

 private:
  int64_t piece_;
  std::vector<uint64_t> words_;
};

/// The fastest tenth of the runs counts: others were disturbed by other programs.
double undisturbed(std::vector<double>& times) {
  const auto at = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 10);
  std::nth_element(times.begin(), at, times.end());
  return *at;
}

struct Times {
  std::vector<double> product;  ///< seconds, for every number of rows
  double read = 0;
};

/// Goes through the numbers of rows and the stream in turn, one product each, so that a change of
/// the machine's speed falls on all of them.
Times measure(const Subject& subject, const Shape& shape, const Options& options) {
  const int64_t most = *std::max_element(options.rows.begin(), options.rows.end());
  const std::vector<float> x = random_values(most * shape.in);
  std::vector<float> y(static_cast<size_t>(most * shape.out));
  const StreamRead stream(subject);
  std::vector<std::vector<double>> times(options.rows.size() + 1);
  int64_t call = 0;
  const double end = options.seconds + now();
  while (now() < end || times.back().size() < 3) {
    for (size_t i = 0; i < times.size(); ++i, ++call) {
      const int64_t copy = call % subject.copies;
      const double start = now();
      if (i == options.rows.size()) {
        stream.run(copy);
      } else {
        subject.multiply(copy, x.data(), options.rows[i], y.data());
      }
      times[i].push_back(now() - start);
    }
  }
  Times result;
  for (auto& of_rows : times) result.product.push_back(undisturbed(of_rows));
  result.read = result.product.back();
  result.product.pop_back();
  return result;
}

void report(const Shape& shape, const std::string& format, const Options& options) {
  const Subject subject = subject_of(format, shape, options.megabytes);
  const Times times = measure(subject, shape, options);
  fmt::print("{:13} {:6} x {:5} {:6} {:4} copies: reading {:8.1f} us, {:5.1f} GB/s\n", shape.name,
             shape.out, shape.in, format, subject.copies, times.read * 1e6,
             subject.bytes / times.read * 1e-9);
  for (size_t i = 0; i < options.rows.size(); ++i) {
    const double time = times.product[i];
    const auto work = static_cast<double>(2 * options.rows[i] * shape.out * shape.in);
    fmt::print(
        "  rows {:3} {:9.1f} us {:6.1f} GB/s {:7.1f} GFLOP/s  x {:5.2f} of reading  x {:5.2f} "
        "of {} row\n",
        options.rows[i], time * 1e6, subject.bytes / time * 1e-9, work / time * 1e-9,
        time / times.read, time / times.product[0], options.rows[0]);
  }
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Products with packed weights: time per number of rows, against reading the weights");
  app.add_option("--presets", options.presets, "shapes of these models")->delimiter(',');
  app.add_option("--shapes", options.shapes, "of these products alone: qkv, out, gate_up ...")
      ->delimiter(',');
  app.add_option("--formats", options.formats,
                 "f32, bf16, int8, q8, q4 (packed) and onednn (f32, not packed)")
      ->delimiter(',');
  app.add_option("--rows", options.rows, "rows of x")->delimiter(',');
  app.add_option("--megabytes", options.megabytes,
                 "size of all copies of a weight together; 0: one copy, which may stay in a cache");
  app.add_option("--seconds", options.seconds, "time for a shape in a format");
  app.add_option("--threads", options.threads, "default: all cores");
  CLI11_PARSE(app, argc, argv);
  if (options.threads > 0) set_threads(options.threads);
  for (const std::string& preset : options.presets) {
    for (const Shape& shape : shapes_of(preset)) {
      const std::string part = shape.name.substr(preset.size() + 1);
      const auto& wanted = options.shapes;
      if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), part) == wanted.end())
        continue;
      for (const std::string& format : options.formats) report(shape, format, options);
    }
  }
  return 0;
}

}  // namespace
}  // namespace evo

int main(int argc, char** argv) {
  return evo::bench_main(argc, argv, evo::run);
}
