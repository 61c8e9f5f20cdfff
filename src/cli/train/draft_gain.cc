#include "cli/train/draft_gain.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "api/learnt_costs.h"
#include "base/process/watcher.h"
#include "cli/bench/bench_measure.h"
#include "cli/cache_folder.h"
#include "cli/options.h"
#include "decode/generate.h"
#include "decode/loaded_model.h"
#include "ops/machine.h"
#include "train/loss/validation.h"

namespace evo::cli {
namespace {

constexpr double kMostSeconds = 5, kLeastSeconds = 0.5, kShareOfRun = 0.03;
constexpr int64_t kHeldOutTexts = 12, kPromptTokens = 32;
constexpr int64_t kBriefTokens = 8, kLeastTokens = 16, kMostTokens = 64;

/// Beginnings of sequences of the held-out text.
std::vector<decode::Prompt> held_out_prompts(const data::TokenFile& tokens,
                                             const train::RunConfig& config) {
  const int64_t begin = train::held_out_begin(tokens, config);
  const int64_t held_out = tokens.size() - begin;
  const int64_t length =
      std::min({kPromptTokens, config.max_position_embeddings / 2, held_out / 2});
  const int64_t stride = (held_out - length) / kHeldOutTexts;
  std::vector<decode::Prompt> prompts;
  if (length < 1) return prompts;
  for (int64_t i = 0; i < kHeldOutTexts; ++i) {
    std::vector<int32_t> prompt(static_cast<size_t>(length));
    tokens.copy(begin + i * stride, prompt);
    prompts.push_back(decode::Prompt::of_text(std::move(prompt)));
  }
  return prompts;
}

decode::Generation decode(const decode::Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
                          const decode::Prompt& prompt, decode::Mode mode, int64_t tokens) {
  decode::GenerateOptions options;
  options.decode.mode = mode;
  options.decode.max_tokens = tokens;
  options.decode.sampler.temperature = 0;
  return decode::generate(decoder, tokenizer, prompt, options);
}

/// Texts as long as the time allows: all prompts in both modes, and perhaps by a parent.
int64_t tokens_in(double seconds, double tokens_per_second) {
  const double each = seconds * tokens_per_second / (3 * kHeldOutTexts);
  return std::clamp(static_cast<int64_t>(std::min(each, 1e6)), kLeastTokens, kMostTokens);
}

/// Of a run of so many minutes, or without such a limit.
double gain_seconds(double minutes) {
  if (minutes == 0) return kMostSeconds;
  return std::clamp(kShareOfRun * 60 * minutes, std::min(kLeastSeconds, 15 * minutes),
                    kMostSeconds);
}

}  // namespace

std::string DraftGain::line() const {
  const std::string precision_text = decode::precision_name(precision);
  if (std::isnan(speed_up)) return "mode exact was not measured";
  if (speed_up < 1.02) {
    return fmt::format(
        "mode exact, {}: no gain yet ({:.2f} times the speed of ar, {:.0f} tokens/s): this model's "
        "drafts do not pay",
        precision_text, speed_up, ar_tokens_per_second);
  }
  return fmt::format(
      "mode exact, {}: {:.2f} times the speed of ar ({:.0f} tokens/s), {:.2f} tokens per forward "
      "pass",
      precision_text, speed_up, ar_tokens_per_second, tokens_per_forward);
}

DraftGain measure_gain(const TrainRequest& request, const data::TokenFile& run_tokens,
                       const std::string& parent) {
  const double start = now(), limit = gain_seconds(request.config.minutes);
  DraftGain gain;
  gain.precision = ops::best_precision();
  const decode::LoadedModel loaded = decode::load_model(request.out, gain.precision);
  std::optional<decode::LoadedModel> before;
  if (!parent.empty()) before.emplace(decode::load_model(parent, gain.precision));
  const decode::Decoder decoder(loaded.model, loaded.tokenizer);
  std::optional<decode::Decoder> parent_decoder;
  if (before) parent_decoder.emplace(before->model);
  const LearntCosts costs(decoder, gain.precision, cache_folder());
  const std::vector<decode::Prompt> prompts = held_out_prompts(run_tokens, request.config);
  gain.speed_up = NAN;
  if (prompts.empty()) return gain;
  const auto text_of = [&](const decode::Decoder& by, const decode::Prompt& prompt,
                           decode::Mode mode, int64_t tokens) {
    return decode(by, loaded.tokenizer, prompt, mode, tokens);
  };
  (void)text_of(decoder, prompts.front(), decode::Mode::kAr, kBriefTokens);
  const double rate =
      text_of(decoder, prompts.front(), decode::Mode::kAr, kBriefTokens).tokens_per_second();
  const int64_t tokens = tokens_in(limit - (now() - start), rate);
  (void)text_of(decoder, prompts.front(), decode::Mode::kExact, tokens);  // finds what pays

  std::vector<double> ratios, rates;
  decode::Generation all;
  for (const decode::Prompt& prompt : prompts) {
    if (interrupted() || (gain.texts > 0 && now() - start > limit)) break;
    // In turns, so that a machine that slows down slows both.
    const bool ar_first = gain.texts % 2 == 0;
    decode::Generation ar, exact;
    if (ar_first) ar = text_of(decoder, prompt, decode::Mode::kAr, tokens);
    exact = text_of(decoder, prompt, decode::Mode::kExact, tokens);
    if (!ar_first) ar = text_of(decoder, prompt, decode::Mode::kAr, tokens);
    if (ar.tokens.empty()) continue;
    ++gain.texts;
    if (before) {
      const decode::Generation old = text_of(*parent_decoder, prompt, decode::Mode::kAr, tokens);
      gain.parent_texts += old.tokens == exact.tokens ? 1 : 0;
    }
    ratios.push_back(ar.seconds / exact.seconds);
    rates.push_back(ar.tokens_per_second());
    all.tokens.insert(all.tokens.end(), exact.tokens.begin(), exact.tokens.end());
    all.passes += exact.passes;
  }
  if (ratios.empty()) return gain;
  gain.speed_up = median(ratios);
  gain.ar_tokens_per_second = median(rates);
  gain.tokens_per_forward = all.tokens_per_forward();
  return gain;
}

void report_gain(TrainRequest& request, std::optional<DraftGain>& gain, const std::string& parent) {
  if (!request.config.flow) return;
  request.report_seconds = gain_seconds(request.config.minutes);
  request.report = [&request, &gain, parent](const train::TrainSummary& summary,
                                             const data::TokenFile& tokens) {
    if (!summary.interrupted) gain = measure_gain(request, tokens, parent);
  };
}

}  // namespace evo::cli
