// The one decoding loop's body: a forward pass that sessions share, and what follows from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "decode/session/session.h"

namespace evo::decode {

class SharedPass {
 public:
  explicit SharedPass(std::span<Session* const> sessions);

  /// See Session::step_together().
  std::vector<PassTrace> run(int64_t prompt_rows, std::vector<std::string>* told);

 private:
  /// Where a session's rows lie.
  struct Rows {
    int64_t mature_end = 0;  ///< behind its last mature row
    int64_t scored = 0;      ///< of these, the last ones, which need logits
    int64_t window = 0;
  };
  void gather(int64_t prompt_rows);
  int64_t gather_mature(Session& session, int32_t index, int64_t& prompt_rows);
  void gather_windows();
  [[nodiscard]] tensor::Tensor scored_rows(const tensor::Tensor& h) const;
  void finish(const tensor::Tensor& h, const tensor::Tensor& mature_h,
              const tensor::Tensor& logits);
  /// Drafts of a kind; returns the steps that it took, as CostRatios::ahead_steps() counts them.
  double draft(DraftKind kind);
  void learn(PassRun run) const;

  std::span<Session* const> sessions_;
  const Decoder& decoder_;
  int64_t generating_;  // sessions that do not read their prompt
  model::ForwardInput input_;
  std::vector<model::KvCache*> caches_;
  std::vector<Rows> rows_;
  std::vector<PassTrace> traces_;
  Faults faults_;
};

}  // namespace evo::decode
