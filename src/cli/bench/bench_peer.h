// The program that `evo bench train` measures itself against: reference/train_bench.py.
#pragma once

#include <string>
#include <vector>

#include "cli/bench/bench_measure.h"

namespace evo::cli {

/// A way for the peer to do the same work, and the arguments that choose it.
struct Variant {
  std::string name;  ///< "eager-matmul", "compiled-sdpa-bf16" ...
  std::vector<std::string> arguments;
};

/// Eager and compiled, both forms of attention, f32 and (where our precision is that) bf16; or
/// those of them that `chosen` names, if it names any. Throws UsageError for a name that is none of
/// them.
std::vector<Variant> peer_variants(tensor::Precision precision,
                                   const std::vector<std::string>& chosen);

class Peer {
 public:
  /// `command`: "none"; a command line for the shell; or empty for the train_bench.py of the source
  /// tree that this program was built in. Throws Error if a given command does not work.
  explicit Peer(const std::string& command);

  [[nodiscard]] bool available() const { return !program_.empty(); }
  /// "PyTorch 2.14.1", or "none: " and why.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Program and arguments that make `variant` do `work`.
  [[nodiscard]] std::vector<std::string> command(const BenchCase& work,
                                                 const Variant& variant) const;

 private:
  std::string try_program(std::vector<std::string> program);
  void find_default();

  std::vector<std::string> program_;
  std::string name_;
};

}  // namespace evo::cli
