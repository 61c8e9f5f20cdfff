#include "decode/session/evolving_window.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "flow/bridge.h"

namespace evo::decode {
namespace {

// Purposes of random streams in a session.
enum SessionStream : uint64_t { kNoise = 1 };

}  // namespace

EvolvingWindow::EvolvingWindow(const Decoder& decoder, const DecodeOptions& options)
    : decoder_(decoder), options_(options), random_(options.seed, kNoise) {}

void EvolvingWindow::begin_from(std::vector<int32_t> tokens, double t) {
  sketch_ = std::move(tokens);
  sketch_time_ = std::max(t, decoder_.model().time().min_time());
}

void EvolvingWindow::fill(int64_t size, int64_t first) {
  const auto count = static_cast<size_t>(size);
  if (tokens_.size() > count) tokens_.resize(count);
  if (tokens_.empty()) age_ = first_age(first);
  while (tokens_.size() < count) tokens_.push_back(fresh_token(first + this->size()));
}

/// A window of what is to be changed is as old as its times say.
int64_t EvolvingWindow::first_age(int64_t first) const {
  if (first >= std::ssize(sketch_)) return 0;
  const int64_t age = std::lround((1 - sketch_time_) * static_cast<double>(options_.steps));
  return std::min(age, options_.steps - 1);
}

EvolvingToken EvolvingWindow::fresh_token(int64_t number) {
  const model::Model& model = decoder_.model();
  const auto width = static_cast<size_t>(model.config().code_size);
  EvolvingToken fresh;
  fresh.z.resize(width);
  random_.fill_normal(fresh.z);
  fresh.previous_x.assign(width, 0.0f);
  if (number >= std::ssize(sketch_)) return fresh;
  fresh.time = static_cast<float>(sketch_time_);
  const float* code = decoder_.codes().row(sketch_[number]);
  flow::blend(flow::add_noise(model.time().signal(sketch_time_)), fresh.z, {code, width}, fresh.z,
              fresh.z);
  return fresh;
}

void EvolvingWindow::move(EvolvingToken& token, int32_t hypothesis, double to) {
  const flow::EntropicTime& time = decoder_.model().time();
  const double from = token.time;
  const flow::BridgeCoefficients coefficients =
      flow::bridge(time.signal(from), time.signal(std::min(from, to)));
  std::vector<float> noise(token.z.size());
  random_.fill_normal(noise);
  flow::blend(coefficients, token.z, {decoder_.codes().row(hypothesis), token.z.size()}, noise,
              token.z);
  token.time = static_cast<float>(std::min(from, to));
}

void EvolvingWindow::append(model::ForwardInput& input, int32_t index, const Sequence& sequence,
                            int64_t drafts) const {
  const auto before = static_cast<int32_t>(sequence.size() + drafts);
  const auto first = static_cast<int32_t>(input.positions.size());
  for (int32_t i = 0; i < static_cast<int32_t>(size()); ++i) {
    const EvolvingToken& token = tokens_[i];
    const int64_t row = input.evolving();
    std::ranges::copy(token.z, input.z.row(row));
    std::ranges::copy(token.previous_x, input.previous_x.row(row));
    input.times.push_back(token.time);
    input.positions.push_back(sequence.place(before + i));
    input.ranges.push_back({0, before, first, first + static_cast<int32_t>(size())});
    input.sequences.push_back(index);
  }
}

}  // namespace evo::decode
