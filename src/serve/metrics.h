// What a server has done, for Prometheus.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace evo::serve {

/// Counts of values up to each bound. Not for several threads.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1, 0) {}

  void observe(double value, int64_t times = 1);
  /// Lines of the text format of Prometheus.
  [[nodiscard]] std::string text(const std::string& name, const std::string& help) const;

 private:
  std::vector<double> bounds_;   // rising
  std::vector<int64_t> counts_;  // of what lies above the bound before; the last one is without end
  double sum_ = 0;
};

/// May be used by any number of threads.
class Metrics {
 public:
  void count_request(const std::string& endpoint, int status);
  void set_load(int64_t queued, int64_t active);
  /// Memory of keys and values, and tokens of ended texts that are kept in it.
  void set_cache(int64_t bytes, int64_t kept_tokens);
  void count_prompt(int64_t tokens, int64_t known);  ///< `known` of them need not be read
  /// `sequences` shared the pass, `generated` tokens came of it.
  void count_pass(int64_t sequences, int64_t generated);
  /// Seconds from a request's arrival to its first token; between later ones.
  void observe_first_token(double seconds);
  void observe_tokens(double seconds_per_token, int64_t tokens);

  [[nodiscard]] std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, int64_t> requests_;
  int64_t queued_ = 0, active_ = 0, cache_bytes_ = 0, kept_tokens_ = 0;
  int64_t prompt_tokens_ = 0, known_prompt_tokens_ = 0, generated_tokens_ = 0, passes_ = 0,
          sequence_passes_ = 0;
  Histogram first_token_{{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}};
  Histogram per_token_{{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}};
};

}  // namespace evo::serve
