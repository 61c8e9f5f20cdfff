#include "cli/bench/bench_decode.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/process/watcher.h"
#include "cli/bench/bench_measure.h"
#include "decode/generate.h"
#include "model/layout.h"
#include "ops/machine.h"

namespace evo::cli {
namespace {

constexpr int64_t kWarmUpTokens = 8;

decode::DecodeOptions decode_options(const DecodeWay& way, const DecodeBenchOptions& options) {
  decode::DecodeOptions decode;
  decode.mode = way.mode;
  decode.balance = way.balance;
  decode.max_tokens = options.max_tokens;
  decode.seed = options.seed;
  decode.window = options.window;
  decode.sampler.temperature = options.temperature;
  return decode;
}

using Text = std::vector<int32_t>;

/// Decodes all of the prompts together; `texts` gets what was generated.
DecodeTally decode(const decode::Decoder& decoder, const DecodeLimits& limits,
                   std::span<const DecodeBenchPrompt> prompts, const DecodeWay& way,
                   const DecodeBenchOptions& options, std::vector<Text>& texts) {
  std::vector<std::unique_ptr<decode::Session>> sessions;
  for (const DecodeBenchPrompt& prompt : prompts) {
    sessions.push_back(std::make_unique<decode::Session>(decoder, decode_options(way, options),
                                                         decode::Prompt::of_text(prompt.tokens),
                                                         options.end));
  }
  DecodeTally tally;
  const double start = now();
  for (;;) {
    std::vector<decode::Session*> active;
    for (const auto& session : sessions) {
      if (!session->done()) active.push_back(session.get());
    }
    if (active.empty()) break;
    int64_t rows = 0;
    for (const decode::PassTrace& pass : decode::Session::step_together(active)) {
      rows += pass.rows;
      tally.drafting_passes += pass.drafted > 0 ? 1 : 0;
    }
    tally.rows += rows;
    tally.least_seconds += limits.pass_seconds(static_cast<double>(rows));
  }
  tally.seconds = now() - start;
  for (size_t i = 0; i < sessions.size(); ++i) {
    const auto& session = sessions[i];
    texts.emplace_back(session->generated().begin(), session->generated().end());
    const Text& text = texts.back();
    tally.tokens += std::ssize(text);
    for (int32_t token : text) ++tally.counts[token];
    if (!text.empty()) {
      tally.nats += static_cast<double>(text.size()) *
                    decode::ar_nats_per_token(decoder.model(),
                                              decode::Prompt::of_text(prompts[i].tokens), text);
    }
    tally.passes += session->passes();
    tally.accepted += session->accepted();
  }
  return tally;
}

/// Rows of all kinds, and of each if there are several, with their ratios.
std::vector<DecodeBenchRow> summarize(
    const std::vector<DecodeWay>& ways,
    const std::vector<std::map<std::string, DecodeTally>>& tallies) {
  std::vector<DecodeBenchRow> rows;
  std::map<std::pair<std::string, int64_t>, double> plain;
  for (size_t w = 0; w < ways.size(); ++w) {
    DecodeTally all;
    for (const auto& [kind, tally] : tallies[w]) all += tally;
    rows.push_back({"all", ways[w], all});
    if (tallies[w].size() > 1) {
      for (const auto& [kind, tally] : tallies[w]) rows.push_back({kind, ways[w], tally});
    }
  }
  for (const DecodeBenchRow& row : rows) {
    if (row.way.mode == decode::Mode::kAr)
      plain[{row.kind, row.way.batch}] = row.tally.tokens_per_second();
  }
  for (DecodeBenchRow& row : rows) {
    row.ratio_to_ar = row.tally.tokens_per_second() / plain[{row.kind, row.way.batch}];
  }
  return rows;
}

}  // namespace

std::string DecodeWay::name() const {
  const std::string mode_text =
      mode == decode::Mode::kEvo ? fmt::format("evo {:.2f}", balance) : decode::mode_name(mode);
  return batch == 1 ? mode_text : fmt::format("{}, batch {}", mode_text, batch);
}

DecodeTally& DecodeTally::operator+=(const DecodeTally& other) {
  tokens += other.tokens;
  passes += other.passes;
  rows += other.rows;
  accepted += other.accepted;
  drafting_passes += other.drafting_passes;
  texts += other.texts;
  equal_texts += other.equal_texts;
  nats += other.nats;
  for (const auto& [token, count] : other.counts) counts[token] += count;
  seconds += other.seconds;
  least_seconds += other.least_seconds;
  return *this;
}

double DecodeTally::tokens_per_second() const {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

double DecodeTally::token_entropy() const {
  double entropy = 0;
  for (const auto& [token, count] : counts) {
    const double p = static_cast<double>(count) / static_cast<double>(tokens);
    entropy -= p * std::log(p);
  }
  return entropy;
}

double DecodeLimits::pass_seconds(double rows) const {
  return std::max(weight_bytes / bytes_per_second, rows * flops_per_row / flops);
}

DecodeLimits measure_decode_limits(const model::Model& model, tensor::Precision precision) {
  DecodeLimits limits;
  limits.weight_bytes = static_cast<double>(model.pass_bytes());
  limits.flops_per_row = model::model_cost(model.config(), 0).decode_flops_per_token;
  limits.bytes_per_second = ops::measure_read_bandwidth(model.pass_bytes(), 0.3);
  limits.flops = 1e9 * ops::measure_matmul_peak(precision, 0.3);
  return limits;
}

std::vector<DecodeBenchRow> bench_decode(const decode::Decoder& decoder, const DecodeLimits& limits,
                                         std::vector<DecodeBenchPrompt> prompts,
                                         const std::vector<DecodeWay>& ways,
                                         const DecodeBenchOptions& options) {
  std::ranges::stable_sort(prompts, {},
                           &DecodeBenchPrompt::kind);  // a pass has prompts of one kind
  std::vector<std::map<std::string, DecodeTally>> tallies(ways.size());
  size_t most = 1;
  for (const DecodeWay& way : ways) most = std::max(most, static_cast<size_t>(way.batch));
  // The first pass of each kind makes what later ones find: threads, scratch memory.
  DecodeBenchOptions brief = options;
  brief.max_tokens = std::min<int64_t>(options.max_tokens, kWarmUpTokens);
  for (const DecodeWay& way : ways) {
    std::vector<Text> ignored;
    decode(decoder, limits, std::span(prompts).first(1), way, brief, ignored);
  }
  Progress progress("decoding", static_cast<double>(prompts.size() * ways.size()), "texts");
  double done = 0;
  for (size_t first = 0, count = 0; first < prompts.size(); first += count) {
    const auto same_kind = [&](size_t i) { return prompts[i].kind == prompts[first].kind; };
    for (count = 1; count < most && first + count < prompts.size() && same_kind(first + count);) {
      ++count;
    }
    const auto group = std::span(prompts).subspan(first, count);
    std::vector<Text> reference;  // what `ar` made of the group
    for (size_t w = 0; w < ways.size(); ++w) {
      const auto batch = static_cast<size_t>(ways[w].batch);
      std::vector<Text> texts;
      for (size_t i = 0; i < group.size(); i += batch) {
        if (interrupted()) fail_interrupted("interrupted: nothing is reported");
        const auto part = group.subspan(i, std::min(batch, group.size() - i));
        tallies[w][part.front().kind] += decode(decoder, limits, part, ways[w], options, texts);
        progress.update(done += static_cast<double>(part.size()));
      }
      if (reference.empty()) reference = texts;
      for (size_t i = 0; i < texts.size(); ++i) {
        DecodeTally& tally = tallies[w][group[i].kind];
        tally.texts += 1;
        tally.equal_texts += texts[i] == reference[i] ? 1 : 0;
      }
    }
  }
  return summarize(ways, tallies);
}

}  // namespace evo::cli
