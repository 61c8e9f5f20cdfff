#include <algorithm>
#include <evo/train.hpp>

#include "api/adapt_run.h"
#include "api/entry.h"
#include "api/options.h"
#include "api/run_settings.h"
#include "api/train_run.h"
#include "ops/machine.h"

namespace evo::api {
namespace {

RunSettings settings_of(const RunOptions& options) {
  return {options.settings, options.steps, options.seed, options.minutes};
}

train::AdaptRecipe inner_recipe(Recipe recipe) {
  switch (recipe) {
    case Recipe::kFrozen:
      return train::AdaptRecipe::kFrozen;
    case Recipe::kFull:
      return train::AdaptRecipe::kFull;
    case Recipe::kDrafts:
      return train::AdaptRecipe::kDrafts;
  }
  throw evo::UsageError("recipe: expected kFrozen, kFull or kDrafts");
}

TrainProgress outer_progress(const train::StepReport& report) {
  return {report.step,       report.share,       report.seconds,          report.remaining_seconds,
          report.loss.total, report.loss.ar_nll, report.tokens_per_second};
}

TrainResult outer_result(const train::TrainSummary& summary) {
  return {summary.step,
          summary.tokens,
          summary.seconds,
          summary.interrupted,
          summary.last.total,
          summary.last.ar_nll,
          summary.validation.ar_nll,
          summary.tokens_per_second};
}

/// All but the shape of the model.
TrainRequest request_of(const RunOptions& options) {
  const evo::tensor::Precision precision = options.precision == Precision::kAuto
                                               ? ops::best_precision()
                                               : inner_precision(options.precision);
  if (!can_train(precision)) {
    throw evo::UsageError("precision: expected auto, f32 or bf16; the others are for decoding");
  }
  TrainRequest request;
  request.data = options.data;
  request.text_field = options.text_field;
  request.out = options.out.string();
  request.resume = options.resume;
  request.quiet = true;
  request.skip_bad_shards = options.skip_bad_shards;
  request.memory = options.memory;
  request.precision = precision;
  choose_threads(options.threads);
  return request;
}

/// run(request) with the caller's callback and stop token.
template <class Options, class Run>
TrainResult run_with(const Options& options, const OnProgress& on_progress,
                     const std::stop_token& stop, const Run& run) {
  CallbackGuard guard;
  const TrainResult result = enter([&] {
    TrainRequest request = request_of(options);
    request.stop = [&] { return guard.has_thrown() || stop.stop_requested(); };
    CallerWatcher caller(request.stop);
    const WatchScope scope(caller);
    if (on_progress) {
      request.on_step = [&](const train::StepReport& report) {
        guard.call([&] { on_progress(outer_progress(report)); });
      };
    }
    const train::TrainSummary summary = run(request);
    if (summary.interrupted && summary.step == 0) {
      fail_interrupted("interrupted before the first step was complete: there is no model yet");
    }
    return outer_result(summary);
  });
  guard.rethrow();
  return result;
}

}  // namespace

TrainResult train(const TrainOptions& options, const OnProgress& on_progress,
                  const std::stop_token& stop) {
  return run_with(options, on_progress, stop, [&](TrainRequest& request) {
    request.config = train::RunConfig::preset(options.preset);
    settings_of(options).apply(request.config);
    request.tokenizer = options.tokenizer.string();
    return run_training(request);
  });
}

TrainResult adapt(const AdaptOptions& options, const OnProgress& on_progress,
                  const std::stop_token& stop) {
  return run_with(options, on_progress, stop, [&](TrainRequest& request) {
    const std::string parent = options.parent.string();
    begin_from_parent(request, parent, inner_recipe(options.recipe), settings_of(options));
    return run_training(request);
  });
}

}  // namespace evo::api
