// What a decoder has learnt of a model on a machine, kept in a folder from process to process: so
// the first text drafts as far as it pays.
#pragma once

#include <filesystem>
#include <string>

#include "decode/session/session.h"

namespace evo::decode {

class CostStore {
 public:
  /// `machine` is all that passes of this model depend on: the CPU, threads, precision. With an
  /// empty `folder` nothing is kept.
  CostStore(std::filesystem::path folder, const model::Model& model, std::string machine);

  /// True if the decoder, whose sessions have not begun, now knows what others learnt. A file that
  /// is missing, damaged, of another version, model or machine changes nothing.
  bool recall(const Decoder& decoder) const;

  /// Keeps what the decoder knows, if it has learnt something; a folder that cannot be written to
  /// is no fault. Of many models, those used last are kept.
  void keep(const Decoder& decoder) const;

  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

 private:
  std::string model_, machine_;
  std::filesystem::path file_;
};

}  // namespace evo::decode
