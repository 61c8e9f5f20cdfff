#include "cli/bench/llama_peer.h"

#include <unistd.h>

#include <filesystem>

#include "base/process/child_process.h"
#include "json/record.h"
#include "weights/gguf/meaningless_gguf.h"

namespace evo::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kTimeLimit = 600;
constexpr int kRepetitions = 5;

weights::GgufShape shape_of(const model::ModelConfig& c) {
  return {c.vocab_size,          c.hidden_size, c.num_hidden_layers, c.num_attention_heads,
          c.num_key_value_heads, c.head_dim,    c.intermediate_size, c.max_position_embeddings,
          c.tie_word_embeddings, c.rope_theta,  c.rms_norm_eps};
}

const char* format_of(tensor::Precision precision) {
  switch (precision) {
    case tensor::Precision::kF32:
      return "F32";
    case tensor::Precision::kBF16:
      return "BF16";
    case tensor::Precision::kInt8:
    case tensor::Precision::kQ8:
      return "Q8_0";
    case tensor::Precision::kQ4:
      return "Q4_1";
    case tensor::Precision::kStored:
      throw UsageError(
          "--llama-bench: llama.cpp is given random weights of the model's shape, not the model's, "
          "which are packed as its file has them: compare f32, bf16, q8, q4 or int8 (--precision)");
  }
  EVO_CHECK(false);
}

/// A file that goes when this does.
struct TemporaryFile {
  fs::path path = fs::temp_directory_path() / fmt::format("evo-{}.gguf", getpid());
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
};

}  // namespace

void write_llama_model(const std::string& path, const model::ModelConfig& config,
                       tensor::Precision precision) {
  weights::write_meaningless_gguf(path, shape_of(config), format_of(precision));
}

LlamaResult run_llama_bench(const std::string& command, const model::ModelConfig& config,
                            tensor::Precision precision, int threads, int64_t tokens) {
  const TemporaryFile model;
  write_llama_model(model.path, config, precision);
  const std::string line = fmt::format("{} -m {} -p 0 -n {} -t {} -r {} -ngl 0 -o jsonl", command,
                                       model.path.string(), tokens, threads, kRepetitions);
  ChildOptions options;
  options.time_limit = kTimeLimit;
  const ChildResult child = run_child({"/bin/sh", "-c", line}, options);
  if (!child.failure.empty()) fail("--llama-bench '{}': {}", command, child.failure);
  const json::Record record =
      json::Record::parse(last_line(child.output), "the output of llama-bench");
  const double rate = record.get_double("avg_ts");
  if (!(rate > 0)) fail("--llama-bench '{}': its avg_ts is {}, not a speed", command, rate);
  const std::string build =
      record.has("build_number") ? fmt::format(" build {}", record.get_int("build_number")) : "";
  return {"llama.cpp" + build, format_of(precision), rate};
}

}  // namespace evo::cli
