// What passes take on this machine, learnt from those that run anyway: none is made to measure.
//
// A pass takes scale (0.9 F(rows) + 0.1 F(heads)), where F grows by one share of a row for each of
// the first few rows and by another beyond; a draft takes a share of the scale. The logarithms of
// these five numbers are estimated by an extended Kalman filter: a pass of one row says what the
// scale is, wider ones and drafts what the shares are, and when the machine slows down, it is the
// scale that moves.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "decode/policy/pass_cost.h"

namespace evo::decode {

/// What sessions did in a pass that they shared, and what it took.
struct PassRun {
  double rows = 0, heads = 0;  ///< of all sessions; heads: rows with logits
  double seconds = 0;          ///< all but what drafting took
  double window_steps = 0, window_seconds = 0;
  double ahead_steps = 0, ahead_seconds = 0;  ///< steps: those of CostRatios::ahead_steps()
  [[nodiscard]] double total_seconds() const { return seconds + window_seconds + ahead_seconds; }
  [[nodiscard]] bool drafts() const { return window_steps > 0 || ahead_steps > 0; }
};

class PassTimes {
 public:
  static constexpr size_t kNumbers = 5;
  /// Estimates and their standard deviations, as logarithms: scale in seconds, then the shares of
  /// CostRatios in its order.
  struct Known {
    std::array<double, kNumbers> logs{}, deviations{};
  };

  PassTimes();

  [[nodiscard]] const PassCost& cost() const { return cost_; }
  /// What they may take: the less is known, the more.
  [[nodiscard]] const PassCost& cost_at_worst() const { return at_worst_; }
  void learn(const PassRun& run);
  /// From a pass of a row per session, without drafts: of many a sample is enough, once there were
  /// some.
  void learn_plain(const PassRun& run);
  [[nodiscard]] int64_t passes() const { return passes_; }  ///< learnt from

  [[nodiscard]] Known known() const;
  /// Begins with what another process knew. Should passes contradict it, it is forgotten. Throws
  /// Error if the numbers cannot be times.
  void recall(const Known& known);

 private:
  using Row = std::array<double, kNumbers>;

  /// With shares so many deviations above the estimates.
  [[nodiscard]] CostRatios ratios(double deviations = 0) const;
  void update_costs();
  void learn_pass(double seconds, double rows, double heads);
  void learn_steps(double seconds, double steps, size_t number);
  /// One time, which should be exp(logs . slope) times `ratio`, near the present estimate.
  void take_in(double seconds, double log_expected, const Row& slope);
  void forget_shares();

  Row logs_{};
  std::array<Row, kNumbers> covariance_{};
  double noise_;              // variance of the logarithm of a time
  double surprise_ = 1;       // of late: squared error over its expectation
  int64_t passes_ = 0;        // learnt from
  int64_t plain_passes_ = 0;  // seen
  // What ran before, by number: how often drafts did, and under few rows the widest pass.
  std::array<int64_t, kNumbers> met_{};
  PassCost cost_, at_worst_;
};

}  // namespace evo::decode
