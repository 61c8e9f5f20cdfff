#include "eval/likelihood.h"

#include <algorithm>
#include <numbers>
#include <numeric>

#include "flow/elbo.h"
#include "ops/codes.h"
#include "train/loss.h"

namespace evo {
namespace {

std::vector<float> ar_nll(const Model& model, const TrainingBatch& batch) {
  Tape tape(Tape::Mode::kInference);
  const auto rows = static_cast<int64_t>(batch.targets.size());
  const Tensor h = model.forward(tape, two_stream_input(batch, {}));
  const std::vector<float> ones(batch.targets.size(), 1.0f);
  const HeadLosses losses{batch.targets, ones};
  return head(tape, h, 0, rows, model.unembedding(), nullptr, &losses).nll;
}

/// Posterior statistics of every evolving row of `batch` at the times of its plan.
HeadResult posterior(const Model& model, const TrainingBatch& batch, bool self_condition,
                     Random& random) {
  Tape tape(Tape::Mode::kInference);
  const Tensor codes = model.codes(tape);
  const std::vector<float>& times = batch.plan.times;
  const auto rows = static_cast<int64_t>(times.size());
  const int64_t width = model.config().code_size;
  std::vector<float> signal(times.size()), kappa(times.size());
  model.time().signal(times, signal);
  model.time().kappa(times, kappa);
  Tensor noise = Tensor::empty({rows, width});
  random.fill_normal(noise.values());
  Latents latents{gaussian_bridge(tape, codes, batch.targets, signal, noise),
                  Tensor::zeros({rows, width}), times};
  const std::vector<float> ones(times.size(), 1.0f);
  const HeadLosses losses{batch.targets, ones};
  const PosteriorTerm term{latents.z, kappa, codes};
  const auto pass = [&] {
    const Tensor h = model.forward(tape, two_stream_input(batch, latents));
    return head(tape, h, rows, rows, model.unembedding(), &term, &losses);
  };
  HeadResult result = pass();
  if (!self_condition) return result;
  latents.previous_x = result.mean_code;
  return pass();
}

/// Nats of every row, estimated from one draw of times and noise.
std::vector<double> elbo_draw(const Model& model, TrainingBatch& batch, int64_t block,
                              bool self_condition, Random& random) {
  const EntropicTime& time = model.time();
  batch.plan = elbo_blocks(batch.sequences, batch.length, block, time.min_time(), random);
  const HeadResult at_times = posterior(model, batch, self_condition, random);
  std::vector<double> nats(batch.targets.size());
  for (size_t i = 0; i < nats.size(); ++i) {
    const double slope = time.snr_slope(batch.plan.times[i]);
    nats[i] = elbo_weight(time.min_time()) * elbo_rate(at_times.squared_error[i], slope);
  }
  std::ranges::fill(batch.plan.times, static_cast<float>(time.min_time()));
  const HeadResult cleanest = posterior(model, batch, self_condition, random);
  for (size_t i = 0; i < nats.size(); ++i) nats[i] += cleanest.nll[i];
  return nats;
}

std::vector<double> score(const Model& model, TrainingBatch& batch,
                          const LikelihoodOptions& options, Random& random) {
  if (options.path.kind == Path::Kind::kAutoregressive) {
    const std::vector<float> nll = ar_nll(model, batch);
    return {nll.begin(), nll.end()};
  }
  const int64_t block =
      options.path.kind == Path::Kind::kDiagonal ? batch.length : options.path.block;
  std::vector<double> mean(batch.targets.size(), 0.0);
  for (int64_t draw = 0; draw < options.time_samples; ++draw) {
    const std::vector<double> nats = elbo_draw(model, batch, block, options.self_condition, random);
    for (size_t i = 0; i < mean.size(); ++i)
      mean[i] += nats[i] / static_cast<double>(options.time_samples);
  }
  return mean;
}

}  // namespace

LikelihoodResult likelihood(const Model& model, const Tokenizer& tokenizer,
                            std::span<const int32_t> tokens, const LikelihoodOptions& options,
                            const std::function<void(int64_t tokens)>& on_progress) {
  const bool bound = options.path.kind != Path::Kind::kAutoregressive;
  if (bound && !model.config().flow) {
    fail("this model has no evolving stream: only --path ar can be scored");
  }
  auto total = static_cast<int64_t>(tokens.size()) - 1;
  if (options.limit > 0) total = std::min(total, options.limit);
  if (total < 1) fail("the text has {} tokens: expected at least 2 to score", tokens.size());

  LikelihoodResult result;
  RunningMean windows;
  double nats = 0;
  for (int64_t begin = 0; begin < total;) {
    const int64_t length = std::min(options.context, total - begin);
    const int64_t count = std::clamp<int64_t>((total - begin) / length, 1, options.batch);
    std::vector<int32_t> texts;
    for (int64_t w = 0; w < count; ++w) {
      const auto window =
          tokens.subspan(static_cast<size_t>(begin + w * length), static_cast<size_t>(length + 1));
      texts.insert(texts.end(), window.begin(), window.end());
    }
    TrainingBatch batch = TrainingBatch::from_texts(texts, count);
    Random random(options.seed, stream_id({0x6C696B, static_cast<uint64_t>(begin)}));
    const std::vector<double> scores = score(model, batch, options, random);
    for (int64_t w = 0; w < count; ++w) {
      const auto first = scores.begin() + w * length;
      const double sum = std::accumulate(first, first + length, 0.0);
      nats += sum;
      windows.add(sum / static_cast<double>(length));
    }
    for (int32_t target : batch.targets) {
      if (target != tokenizer.end_of_text())
        result.bytes += static_cast<int64_t>(tokenizer.token_bytes(target).size());
    }
    begin += count * length;
    result.tokens = begin;
    if (on_progress) on_progress(begin);
  }
  result.nats_per_token = nats / static_cast<double>(total);
  result.bits_per_byte =
      nats / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(1, result.bytes));
  result.standard_error = windows.standard_error();
  result.bound = bound;
  return result;
}

}  // namespace evo
