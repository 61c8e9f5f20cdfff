#include "serve/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace evo::serve {
namespace {

std::string metric_head(const std::string& name, const std::string& help, const char* type) {
  return fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
}

std::string metric_number(const std::string& name, const std::string& help, const char* type,
                          double value) {
  return metric_head(name, help, type) + fmt::format("{} {}\n", name, value);
}

}  // namespace

void Histogram::observe(double value, int64_t times) {
  const auto bound = std::ranges::lower_bound(bounds_, value);
  counts_[bound - bounds_.begin()] += times;
  sum_ += value * static_cast<double>(times);
}

std::string Histogram::text(const std::string& name, const std::string& help) const {
  std::string text = metric_head(name, help, "histogram");
  int64_t below = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    below += counts_[i];
    text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bounds_[i], below);
  }
  below += counts_.back();
  text +=
      fmt::format("{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name, below, sum_);
  return text;
}

void Metrics::count_request(const std::string& endpoint, int status) {
  const std::scoped_lock lock(mutex_);
  ++requests_[{endpoint, status}];
}

void Metrics::set_load(int64_t queued, int64_t active) {
  const std::scoped_lock lock(mutex_);
  queued_ = queued;
  active_ = active;
}

void Metrics::set_cache(int64_t bytes, int64_t kept_tokens) {
  const std::scoped_lock lock(mutex_);
  cache_bytes_ = bytes;
  kept_tokens_ = kept_tokens;
}

void Metrics::count_prompt(int64_t tokens, int64_t known) {
  const std::scoped_lock lock(mutex_);
  prompt_tokens_ += tokens;
  known_prompt_tokens_ += known;
}

void Metrics::count_pass(int64_t sequences, int64_t generated) {
  const std::scoped_lock lock(mutex_);
  ++passes_;
  sequence_passes_ += sequences;
  generated_tokens_ += generated;
}

void Metrics::observe_first_token(double seconds) {
  const std::scoped_lock lock(mutex_);
  first_token_.observe(seconds);
}

void Metrics::observe_tokens(double seconds_per_token, int64_t tokens) {
  const std::scoped_lock lock(mutex_);
  per_token_.observe(seconds_per_token, tokens);
}

std::string Metrics::text() const {
  const std::scoped_lock lock(mutex_);
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  std::string text = metric_head("evo_requests_total", "Requests answered", "counter");
  for (const auto& [key, count] : requests_) {
    text += fmt::format("evo_requests_total{{endpoint=\"{}\",status=\"{}\"}} {}\n", key.first,
                        key.second, count);
  }
  text +=
      metric_number("evo_queue_length", "Texts that wait for their turn", "gauge", real(queued_));
  text +=
      metric_number("evo_active_sequences", "Texts that share the passes", "gauge", real(active_));
  text +=
      metric_number("evo_cache_bytes", "Memory of keys and values", "gauge", real(cache_bytes_));
  text +=
      metric_number("evo_kept_tokens", "Tokens of ended texts kept in it for prompts that go on",
                    "gauge", real(kept_tokens_));
  text += metric_number("evo_prompt_tokens_total", "Tokens of prompts begun", "counter",
                        real(prompt_tokens_));
  text += metric_number("evo_known_prompt_tokens_total",
                        "Those known from earlier texts, not read again", "counter",
                        real(known_prompt_tokens_));
  text += metric_number("evo_generated_tokens_total", "Tokens generated", "counter",
                        real(generated_tokens_));
  text += metric_number("evo_passes_total", "Forward passes", "counter", real(passes_));
  text += metric_number(
      "evo_tokens_per_pass", "Tokens generated per text and pass in which it generated", "gauge",
      sequence_passes_ > 0 ? real(generated_tokens_) / real(sequence_passes_) : 0);
  text += first_token_.text("evo_time_to_first_token_seconds", "From arrival to the first token");
  text += per_token_.text("evo_token_seconds", "Time per token after the first");
  return text;
}

}  // namespace evo::serve
