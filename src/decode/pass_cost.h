// What a forward pass costs on this machine, by the number of its rows: what the policy weighs
// against the tokens that a pass yields.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace evo {

/// What drafts are made from: nothing, the hidden states of a window, or that of the last mature
/// row.
enum class DraftSource : uint8_t { kNone, kWindow, kAhead };

class PassCost {
 public:
  /// Times a few passes of `model`: some milliseconds, or a few passes if one takes longer.
  static PassCost measured(const Model& model);

  /// Of a machine on which a pass of 8 rows costs 1.3 and one of 16 rows 2.2 times one row, and a
  /// step of the field ahead a twentieth of it, as with 36M parameters: the same everywhere, where
  /// a result must not depend on the machine.
  static PassCost nominal();

  /// Time of a pass of `rows` rows of which `heads` need logits.
  [[nodiscard]] double pass(double rows, double heads) const;
  /// Time of drafting one token, where so many sessions draft side by side: ahead that is one step
  /// of all, in windows each is on its own.
  [[nodiscard]] double draft(DraftSource source, double sessions = 1) const;

 private:
  struct Curve {
    std::vector<double> rows, seconds;  // rising; linear between, and beyond the last two
    [[nodiscard]] double at(double n) const;
  };
  Curve forward_, head_, ahead_;  // ahead: a step of so many sessions
  double from_window_ = 0;
};

}  // namespace evo
