#include "cli/bench/bench_compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/process/child_process.h"
#include "cli/options.h"
#include "decode/loaded_model.h"
#include "model/layout.h"

namespace evo::cli {
namespace {

std::vector<std::string> our_command(const BenchCase& work) {
  std::vector<std::string> words = {"/proc/self/exe", "bench",
                                    "train",          "--in-process",
                                    "--presets",      work.preset,
                                    "--sequence",     std::to_string(work.sequence),
                                    "--precision",    decode::precision_name(work.precision)};
  work.append_common_flags(words);
  return words;
}

/// Arithmetic of one measurement. The peer's is about the same, so that this gives a fair guess of
/// the time left.
double tera_flops(const BenchCase& work) {
  const double steps = static_cast<double>(work.steps + work.warm_up);
  const model::ModelCost cost = model::model_cost(work.config(), work.sequence);
  return 1e-12 * cost.training_flops_per_token * work.tokens_per_step() * steps;
}

/// The last line of `output`, which must be the measurement of `work`.
json::Record parse_measurement(const std::string& output, const BenchCase& work) {
  json::Record record = json::Record::parse(last_line(output), "its result");
  for (const char* key : {"tokens_per_second", "peak_rss_mb"}) {
    if (!(record.get_double(key) > 0)) fail("its result: {} is not positive", key);
  }
  const int64_t expected = model::model_cost(work.config(), work.sequence).parameters();
  const int64_t found = record.get_int("parameters");
  if (found != expected) {
    fail("its model has {} parameters instead of {}: other work than ours", found, expected);
  }
  return record;
}

}  // namespace

std::vector<double> ProgramRuns::values(const std::string& key) const {
  std::vector<double> result;
  for (const json::Record& run : runs) {
    const bool known = run.has(key) && !run.is_null(key);
    result.push_back(known ? run.get_double(key) : NAN);
  }
  return result;
}

double ProgramRuns::median_of(const std::string& key) const {
  return median(values(key));
}

double ProgramRuns::largest(const std::string& key) const {
  double result = runs.empty() ? NAN : 0;
  for (const double value : values(key)) {
    if (std::isnan(value)) return value;
    result = std::max(result, value);
  }
  return result;
}

double ProgramRuns::rate() const {
  return failure.empty() ? median_of("tokens_per_second") : NAN;
}

const ProgramRuns* Comparison::best() const {
  const ProgramRuns* best = nullptr;
  for (const ProgramRuns& variant : variants) {
    if (!variant.failure.empty()) continue;
    if (best == nullptr || variant.rate() > best->rate()) best = &variant;
  }
  return best;
}

Comparer::Comparer(const Peer& peer, std::vector<Variant> variants,
                   const std::vector<BenchCase>& cases, int64_t rounds, double time_limit)
    : peer_(peer), variants_(std::move(variants)), rounds_(rounds), time_limit_(time_limit) {
  if (!peer.available()) variants_.clear();
  const size_t per_round = variants_.empty() ? 1 : 2 * variants_.size();
  double total = 0;
  for (const BenchCase& work : cases) {
    total += tera_flops(work) * static_cast<double>(rounds) * static_cast<double>(per_round);
  }
  progress_.emplace("measuring", total, "TFLOP");
}

Comparison Comparer::compare(const BenchCase& work) {
  Comparison result{work, peer_.name(), {"evo", {}, {}}, {}};
  for (const Variant& variant : variants_) result.variants.push_back({variant.name, {}, {}});
  const auto run_ours = [&] {
    run(result.ours, work, our_command(work), 0);
    if (!result.ours.failure.empty()) fail("preset {}: {}", work.preset, result.ours.failure);
  };
  for (int64_t round = 0; round < rounds_; ++round) {
    if (variants_.empty()) run_ours();
    for (size_t i = 0; i < variants_.size(); ++i) {
      if (!result.variants[i].failure.empty()) {
        done_ += 2 * tera_flops(work);  // it would fail again
        continue;
      }
      run_ours();
      run(result.variants[i], work, peer_.command(work, variants_[i]), time_limit_);
    }
  }
  progress_->finish();
  return result;
}

void Comparer::run(ProgramRuns& program, const BenchCase& work,
                   const std::vector<std::string>& command, double time_limit) {
  const double share = tera_flops(work);
  const auto on_line = [&](std::string_view line) {
    long long step = 0, count = 0;
    const std::string text(line);
    if (std::sscanf(text.c_str(), "step %lld of %lld", &step, &count) != 2 || count < 1) {
      return false;
    }
    progress_->update(done_ + share * static_cast<double>(step) / static_cast<double>(count),
                      fmt::format("{} {}: {}", work.preset, program.name, text));
    return true;
  };
  const ChildResult result = run_child(command, {.time_limit = time_limit, .on_line = on_line});
  done_ += share;
  program.failure = result.failure;
  if (!program.failure.empty()) return;
  try {
    program.runs.push_back(parse_measurement(result.output, work));
  } catch (const Error& error) {
    program.failure = error.what();
  }
}

}  // namespace evo::cli
