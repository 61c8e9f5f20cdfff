// Texts that share passes: the one scheduler of `generate`, `eval` and `serve`. Its owner decides
// which texts are in it; it runs their passes, tells each what became of it and lets go of those
// that have ended.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "decode/generate.h"

namespace evo::decode {

/// What a pass of a batch did.
struct BatchPass {
  int64_t generating = 0;  ///< texts that did not read their prompt
  int64_t generated = 0;   ///< tokens
};

/// `Text` has
///   TextGeneration generation;
///   void on_pass(std::string_view piece, const PassTrace& pass);  // after a pass that generated
///   void on_end();                                                // it is done() and leaves
///   void on_fault(const std::string& what);                       // it failed and leaves
/// Without on_fault() what goes wrong with a text is thrown.
template <class Text>
class TextBatch {
 public:
  void add(std::unique_ptr<Text> text) { texts_.push_back(std::move(text)); }
  [[nodiscard]] bool empty() const { return texts_.empty(); }
  [[nodiscard]] int64_t size() const { return std::ssize(texts_); }
  [[nodiscard]] const std::vector<std::unique_ptr<Text>>& texts() const { return texts_; }
  /// Without a word to them.
  void clear() { texts_.clear(); }
  template <class Predicate>
  void remove_if(const Predicate& is_lost) {
    std::erase_if(texts_, [&](const std::unique_ptr<Text>& text) { return is_lost(*text); });
  }

  /// Texts that are done leave: some are before they begin.
  void end_done() {
    std::erase_if(texts_, [](const std::unique_ptr<Text>& text) {
      if (!text->generation.done()) return false;
      text->on_end();
      return true;
    });
  }

  /// One pass of all of them, none of which may be done. See Session::step_together().
  BatchPass pass(int64_t prompt_rows = Session::kPromptRows) {
    constexpr bool kBearsFaults = requires(Text & text) {
      text.on_fault(std::string());
    };
    std::vector<Session*> sessions;
    for (const auto& text : texts_) sessions.push_back(&text->generation.session());
    std::vector<std::string> faults(texts_.size());
    const std::vector<PassTrace> traces =
        Session::step_together(sessions, prompt_rows, kBearsFaults ? &faults : nullptr);
    BatchPass done;
    for (size_t i = 0; i < texts_.size(); ++i) {
      if (traces[i].reading) continue;
      ++done.generating;
      done.generated += std::ssize(traces[i].committed);
      if (!faults[i].empty()) continue;
      if constexpr (kBearsFaults) {
        try {
          tell(*texts_[i], traces[i]);
        } catch (const std::exception& error) {
          faults[i] = error.what();
        }
      } else {
        tell(*texts_[i], traces[i]);
      }
    }
    if constexpr (kBearsFaults) end_faulty(faults);
    end_done();
    return done;
  }

 private:
  static void tell(Text& text, const PassTrace& pass) {
    text.on_pass(text.generation.take(), pass);
  }

  void end_faulty(const std::vector<std::string>& faults) {
    for (size_t i = 0; i < faults.size(); ++i) {
      if (faults[i].empty()) continue;
      texts_[i]->on_fault(faults[i]);
      texts_[i].reset();
    }
    std::erase(texts_, nullptr);
  }

  std::vector<std::unique_ptr<Text>> texts_;
};

}  // namespace evo::decode
