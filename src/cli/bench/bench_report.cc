// What a comparison prints.
#include <cmath>

#include "base/log.h"
#include "cli/bench/bench_compare.h"
#include "cli/options.h"
#include "cli/program.h"
#include "decode/loaded_model.h"

namespace evo::cli {
namespace {

// Other processes' cores above which a figure says little: threads wait for each other.
constexpr double kDisturbance = 0.1;

json::Record variant_record(const ProgramRuns& variant) {
  json::Record record;
  record.set("variant", variant.name).set("tokens_per_second", variant.rate());
  record.set("peak_rss_mb", variant.largest("peak_rss_mb"));
  record.set("other_cores", variant.largest("other_cores"));
  if (!variant.failure.empty()) record.set("failure", variant.failure);
  return record;
}

void add_settings(const BenchCase& work, json::Record& row) {
  row.set("flow", !work.ar_only).set("precision", decode::precision_name(work.precision));
  row.set("threads", work.threads).set("batch", work.batch).set("sequence", work.sequence);
  if (!work.ar_only) row.set("block", work.block);
  row.set("steps", work.steps);
}

std::string or_unknown(double value, int digits, const char* unit = "") {
  return std::isnan(value) ? "unknown" : fmt::format("{:.{}f}{}", value, digits, unit);
}

void print_line(const ProgramRuns& program, double ours) {
  if (!program.failure.empty()) {
    fmt::print("  {:<22} failed: {}\n", program.name, program.failure);
    return;
  }
  fmt::print("  {:<22} {:>9.0f} {:>9.2f} {:>9.0f} {:>12}\n", program.name, program.rate(),
             ours / program.rate(), program.largest("peak_rss_mb"),
             or_unknown(program.largest("other_cores"), 2));
}

}  // namespace

json::Record Comparison::row() const {
  const ProgramRuns* fastest = best();
  const double rate = ours.rate(), memory = ours.largest("peak_rss_mb");
  const double peer_rate = fastest != nullptr ? fastest->rate() : NAN;
  const double peer_memory = fastest != nullptr ? fastest->largest("peak_rss_mb") : NAN;
  json::Record row;
  row.set("preset", work.preset).set("parameters", ours.runs.at(0).get_int("parameters"));
  row.set("tokens_per_second", rate);
  row.set("gemm_peak_fraction", ours.median_of("gemm_peak_fraction"));
  row.set("gemm_peak_gflops", ours.median_of("gemm_peak_gflops")).set("peak_rss_mb", memory);
  const bool none_worked = fastest == nullptr && !variants.empty();
  row.set("peer", none_worked ? fmt::format("none: no variant of {} worked", peer) : peer);
  row.set("peer_tokens_per_second", peer_rate).set("ratio", rate / peer_rate);
  row.set("peer_peak_rss_mb", peer_memory).set("memory_ratio", memory / peer_memory);
  if (fastest != nullptr) row.set("peer_variant", fastest->name);
  row.set("other_cores", ours.largest("other_cores"));
  add_settings(work, row);
  row.set("tokens_per_second_runs", ours.values("tokens_per_second"));
  std::vector<json::Record> records;
  for (const ProgramRuns& variant : variants) records.push_back(variant_record(variant));
  row.set("peer_variants", records);
  return row;
}

void Comparison::print_table() const {
  const json::Record summary = row();
  const std::string blocks = work.ar_only ? "AR only" : fmt::format("blocks of {}", work.block);
  fmt::print("{}, {}: {} x {} tokens, {}, {} threads, median of {} steps\n", work.preset, blocks,
             work.batch, work.sequence, decode::precision_name(work.precision), work.threads,
             work.steps);
  fmt::print("  {:<22} {:>9} {:>9} {:>9} {:>12}\n", "", "tokens/s", "evo is x", "peak MB",
             "other cores");
  print_line(ours, ours.rate());
  for (const ProgramRuns& variant : variants) print_line(variant, ours.rate());
  fmt::print("  evo reaches {:.0f}% of the {:.0f} GFLOP/s of this run's matrix product\n",
             100 * summary.get_double("gemm_peak_fraction"),
             summary.get_double("gemm_peak_gflops"));
  fmt::print("  peer: {}", summary.get_string("peer"));
  if (best() != nullptr) {
    fmt::print(": evo is {:.2f} times as fast as {}, with {:.2f} times its memory",
               summary.get_double("ratio"), best()->name, summary.get_double("memory_ratio"));
  }
  fmt::print("\n\n");
  flush_output();
}

void Comparison::warn_if_disturbed() const {
  std::vector<std::string> disturbed;
  const auto note = [&](const ProgramRuns& program) {
    const double others = program.largest("other_cores");
    if (others > kDisturbance)
      disturbed.push_back(fmt::format("{} ({:.2f})", program.name, others));
  };
  note(ours);
  for (const ProgramRuns& variant : variants) note(variant);
  if (disturbed.empty()) return;
  log_warning(
      "{}: other processes used more than {} cores during {}: these figures are too low, measure "
      "again on a quiet machine",
      work.preset, kDisturbance, fmt::join(disturbed, ", "));
}

}  // namespace evo::cli
