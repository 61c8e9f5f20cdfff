// What a forward pass costs, by the number of its rows: what the policy weighs against the tokens
// that a pass yields.
#pragma once

#include <array>
#include <cstdint>

namespace evo::decode {

/// What drafts are made from: nothing, the hidden states of a window, or that of the last mature
/// row.
enum class DraftKind : uint8_t { kNone, kWindow, kAhead };

/// Costs as numbers, of which only ratios mean anything.
struct CostRatios {
  double scale = 1;                                ///< of a pass of one row, head included
  double few_rows = 0.3 / 7, many_rows = 0.9 / 8;  ///< each row more costs so much of that, up to
                                                   ///< kFewRows and beyond
  double window_step = 0.1, ahead_step = 0.05;     ///< a draft from a window, and ahead of it
  static constexpr double kFewRows = 8;
  /// What a step ahead of so many sessions costs, if one of one session costs 1.
  static double ahead_steps(double sessions) { return 1 + 0.3 / 7 * (sessions - 1); }
};

class PassCost {
 public:
  explicit PassCost(const CostRatios& ratios);

  /// Of a machine on which a pass of 8 rows costs 1.3 and one of 16 rows 2.2 times one row, and a
  /// step of the field ahead a twentieth of it, as with 36M parameters: the same everywhere, where
  /// a result must not depend on the machine. See PassTimes for what this machine takes.
  static PassCost nominal();

  /// Time of a pass of `rows` rows of which `heads` need logits.
  [[nodiscard]] double pass(double rows, double heads) const;
  /// Time of drafting one token, where so many sessions draft side by side: ahead that is one step
  /// of all, in windows each is on its own.
  [[nodiscard]] double draft(DraftKind source, double sessions = 1) const;

 private:
  struct Curve {
    std::array<double, 3> rows{}, seconds{};  // rising; linear between, and beyond the last two
    [[nodiscard]] double at(double n) const;
  };
  PassCost() = default;
  Curve forward_, head_, ahead_;  // ahead: a step of so many sessions
  double from_window_ = 0;
};

}  // namespace evo::decode
