// What went wrong in a pass with single sessions of those that share it.
#pragma once

#include <exception>
#include <string>
#include <vector>

namespace evo::decode {

class Faults {
 public:
  explicit Faults(size_t sessions) : reasons_(sessions) {}

  /// Does a session's own part of a pass, unless it has failed already.
  template <class Action>
  void attempt(size_t session, const Action& action) {
    if (has(session)) return;
    try {
      action();
    } catch (const std::exception&) {
      reasons_[session] = std::current_exception();
    }
  }
  [[nodiscard]] bool has(size_t session) const { return reasons_[session] != nullptr; }
  /// To `told`, if there is one: a text for each session, empty if nothing went wrong. Else the
  /// first is thrown.
  void tell(std::vector<std::string>* told) const {
    if (told != nullptr) told->assign(reasons_.size(), "");
    for (size_t s = 0; s < reasons_.size(); ++s) {
      if (reasons_[s] == nullptr) continue;
      if (told == nullptr) std::rethrow_exception(reasons_[s]);
      try {
        std::rethrow_exception(reasons_[s]);
      } catch (const std::exception& error) {
        (*told)[s] = error.what();
      }
    }
  }

 private:
  std::vector<std::exception_ptr> reasons_;
};

}  // namespace evo::decode
